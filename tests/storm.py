"""A study of small real trainings in worker processes, and what may happen to it: kills at random moments, restarts.

For the kill tests, which do it a few times, and for the benchmarks `kill_storm` and `postgres_restarts`, which do it as
often as the promises say. Violations are counted and not raised, so that a benchmark can report them; `Figures.broken`
is what must be empty.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from postgres import NOBODY, Postgres
from promises import (
    FINISHED,
    Moment,
    assert_files_are_whole,
    assert_models_are_whole,
    assert_no_proposal_twice,
    assert_nothing_rewritten,
    assert_over,
    assert_tidy,
    assert_told_is_stored,
    carrying,
    look,
)

HPO = Path(sys.executable).with_name("hpo")
NAME = "storm"
STUDY = """\
study: storm
metric: {{name: accuracy, goal: maximize}}
budget: {{trials: {trials}, max_attempts: 1000}}
seed: {seed}
objective:
  name: python
  call: softmax:train
  arguments:
    lr: {{float: [0.001, 1.0], log: true}}
    decay: {{float: [1.0e-6, 0.1], log: true}}
    epochs: 9
    passes: {passes}
sampler: {{name: tpe, startup_trials: 5}}
trial_scheduler: {{name: asha-promotion, min_epochs: 1, reduction_factor: 3, max_epochs: 9}}
executor: {{name: processes, workers: 2, threads: 1}}
storage: {storage}
keep: {{last: 2, best: 1}}
register: {{best_as: digits}}
"""

SECONDS = 120
"""The most that anything is waited for."""


@contextmanager
def server(wanted: bool) -> Iterator[Postgres | None]:
    """A PostgreSQL server, if it is wanted, outside of pytest."""
    if not wanted:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="hpo-pg-", dir="/tmp"))  # a socket's path is short
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    made = Postgres(folder)
    try:
        made.init()
        made.start()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)


@dataclass
class Figures:
    """What was done to a study, and what became of it. `kills` by the kind of their victims."""

    kills: dict[str, int] = field(default_factory=dict)
    restarts: int = 0  # of the database
    drivers: int = 0
    epochs: int = 0  # trained, those that were trained again included
    repeated: int = 0
    most_repeated: int = 0  # by one attempt
    finished: int = 0
    unfinished: int = 0  # rows of any state but Optuna's three final ones
    processes: int = 0  # left at the end
    broken: list[str] = field(default_factory=list)

    def check(self, what: str, check: Callable[..., None], *arguments: Any, **more: Any) -> None:
        """Count a violation instead of raising it."""
        try:
            check(*arguments, **more)
        except AssertionError as error:
            self.broken.append(f"{what}: {check.__name__}: {str(error)[:500]}")

    def lines(self) -> list[str]:
        """The figures, for people."""
        kills = ", ".join(f"{number} {kind}s" for kind, number in self.kills.items())
        return [
            f"processes killed: {sum(self.kills.values())} ({kills or 'none'}); the database restarted: "
            f"{self.restarts}; drivers in all: {self.drivers}",
            f"finished trials: {self.finished}; rows in any other state: {self.unfinished}",
            f"epochs trained: {self.epochs}, of them again: {self.repeated}, by one attempt at most "
            f"{self.most_repeated}",
            f"processes left: {self.processes}",
            f"broken promises: {len(self.broken)}",
            *self.broken,
        ]


class Storm:
    """A study in a folder of its own, and its processes, told apart by a mark in their environment."""

    def __init__(self, folder: Path, storage: str, seed: int, trials: int, passes: int) -> None:
        self.folder, self.storage, self.trials = folder, storage, trials
        self.moments = random.Random(seed)
        self.figures = Figures()
        self.mark = uuid.uuid4().hex
        self._driver: subprocess.Popen[bytes] | None = None
        self._before: Moment | None = None
        text = STUDY.format(trials=trials, seed=seed, passes=passes, storage=storage)
        (folder / "study.yaml").write_text(text)
        shutil.copy(Path(__file__).with_name("softmax.py"), folder)

    def kill(self, kills: int, spread: float) -> None:
        """Kill a worker and the driver in turn, each up to `spread` seconds after an attempt has begun.

        Every tenth victim is the process that forks the workers. The last trial waits for `finish`: however fast the
        machine is, the study is not over before.
        """
        for number in range(kills):
            self._await_attempt(self.trials - 1)
            time.sleep(self.moments.uniform(0, spread))
            kind = "template" if number % 10 == 9 else ("worker", "driver")[number % 2]
            victim = self._victim(kind)
            if victim is None:
                continue  # it was between two workers
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue  # it has just ended
            if kind != "worker":
                self._collect()
            self.figures.kills[kind] = self.figures.kills.get(kind, 0) + 1

    def restart(self, server: Postgres, times: int, down: float, spread: float) -> None:
        """Take the server away for `down` seconds so many times, by a shutdown and a crash in turn.

        Each time is up to `spread` seconds after an attempt has begun. No driver may end of it. The study goes on no
        further than the same part of its trials meanwhile.
        """
        for number in range(times):
            self._await_attempt(self.trials * number // (times + 1))
            time.sleep(self.moments.uniform(0, spread))
            server.restart(down, how=signal.SIGQUIT if number % 2 else signal.SIGINT)
            self.figures.restarts += 1

    def finish(self) -> Figures:
        """Run the study to its end, check every promise and add up."""
        self._let(self.trials)
        for _ in range(3):
            if self._driver is None:
                self._start()
            code = self._collect()
            if code == 0:
                break
        figures, moment = self.figures, look(self.storage, NAME)
        assert moment is not None
        figures.finished = len(moment.finished)
        states = moment.states()
        figures.unfinished = sum(states.values()) - sum(states.get(state, 0) for state in FINISHED)
        figures.check("the end", assert_over, moment, self.trials, max_attempts=1000)
        figures.check("the end", assert_no_proposal_twice, moment)
        figures.check("the end", assert_tidy, self.folder, moment)
        self._add_up()
        return figures

    def close(self) -> None:
        """End what is left, by its number."""
        for process in carrying(self.mark):
            process.kill()
        if self._driver is not None:
            self._driver.wait(SECONDS)

    # ---- inside ----

    def _let(self, trials: int) -> None:
        """Let so many trials go on; the next ones begin and wait."""
        new = self.folder / "turns.new"
        new.write_text(str(trials))
        new.replace(self.folder / "turns")

    def _await_attempt(self, let: int) -> None:
        """Let so many trials go on, and wait until a driver has begun another attempt at one."""
        seen = len(self._diary("begun"))
        self._let(let)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if self._driver is None:
                self._start()
            if len(self._diary("begun")) > seen:
                return
            assert self._driver is not None
            if self._driver.poll() is not None:
                self._collect()  # its template was killed
            time.sleep(0.01)
        raise AssertionError(f"nothing was begun in {SECONDS} s")

    def _start(self) -> None:
        self.figures.drivers += 1
        with (self.folder / "told").open("wb") as told, (self.folder / "said").open("ab") as said:
            self._driver = subprocess.Popen(
                [str(HPO), "run", "study.yaml", "--allow-code", "--json"],
                cwd=self.folder,
                env=os.environ | {"LAB": self.mark, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=said,
                start_new_session=True,
            )

    def _victim(self, kind: str) -> psutil.Process | None:
        """A process of the study, of those of a kind one by chance."""
        assert self._driver is not None
        try:
            driver = psutil.Process(self._driver.pid)
            if kind == "driver":
                return driver
            templates = driver.children()
            workers = [worker for template in templates for worker in template.children()]
        except psutil.NoSuchProcess:
            return None
        found = templates if kind == "template" else workers
        return self.moments.choice(found) if found else None

    def _collect(self) -> int:
        """Wait for the driver's end, and look at what it left."""
        assert self._driver is not None
        code = self._driver.wait(SECONDS)
        self._driver = None
        figures, where = self.figures, f"driver {self.figures.drivers}"
        deadline = time.monotonic() + 60
        while (left := carrying(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.02)
        figures.processes += len(left)
        if left:
            figures.broken.append(f"{where}: it left {len(left)} processes")
        moment = look(self.storage, NAME)
        told = (self.folder / "told").read_text()
        figures.check(where, assert_told_is_stored, told, moment)
        figures.check(where, assert_files_are_whole, self.folder)
        figures.check(where, assert_models_are_whole, self.folder, moment)
        if moment is not None:
            figures.check(where, assert_nothing_rewritten, self._before, moment)
        self._before = moment
        if code not in (0, 1, -signal.SIGKILL):
            figures.broken.append(f"{where}: exit code {code}")
        return code

    def _diary(self, name: str) -> list[tuple[int, int, int]]:
        """The lines `trial attempt epoch` of one of the objective's files."""
        path = self.folder / name
        lines = path.read_text().splitlines() if path.exists() else []
        found = [tuple(map(int, line.split())) for line in lines]
        return [(words[0], words[1], words[2]) for words in found]

    def _add_up(self) -> None:
        trained, figures = self._diary("trained"), self.figures
        figures.epochs = len(trained)
        figures.repeated = len(trained) - len({(trial, epoch) for trial, _, epoch in trained})
        for trial, attempt, restored in self._diary("begun"):
            done = [epoch for other, of, epoch in trained if other == trial and of < attempt]
            lost = max(done, default=0) - restored
            figures.most_repeated = max(figures.most_repeated, lost)
            if lost > 1:
                which = f"attempt {attempt} at trial {trial}"
                figures.broken.append(f"P8: {which} repeats {lost} epochs")
