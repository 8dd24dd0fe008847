"""What no crash may hurt: studies of small real trainings, run by the command line, killed and run again.

After any number of kills the same command ends with exactly the budgeted number of finished trials, none of which has
changed since it was finished, with no trial and no process left.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from postgres import Postgres
from promises import assert_nothing_runs, carrying, look
from storm import Storm

HPO = Path(sys.executable).with_name("hpo")
TRIALS = 16
END = r"trial \d+ (complete|pruned|FAILED)"
STUDY = """\
study: kills
metric: {name: accuracy, goal: maximize}
budget: {trials: 16}
seed: 5
objective:
  name: python
  call: softmax:train
  arguments: {lr: {float: [0.001, 1.0], log: true}, decay: {float: [1.0e-6, 0.1], log: true}, epochs: 6}
sampler: {name: tpe}
trial_scheduler: {name: asha, min_epochs: 1, reduction_factor: 2}
executor: {name: processes, workers: 2, threads: 1}
"""


@dataclass
class Lab:
    """A folder with a study and the processes that were started for it, told apart by a mark in their environment."""

    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`hpo run study.yaml`, in a session of its own."""
        return subprocess.Popen(
            [str(HPO), "run", "study.yaml", "--allow-code", *words],
            cwd=self.folder,
            env=os.environ | {"LAB": self.mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def let(self, trials: int) -> None:
        """Let so many trials go on, those before included; the next ones begin and wait."""
        new = self.folder / "turns.new"
        new.write_text(str(trials))
        new.replace(self.folder / "turns")

    def await_begun(self, trials: set[int]) -> None:
        """Wait until these trials have begun."""
        diary, deadline = self.folder / "begun", time.monotonic() + 60
        while not trials <= {int(line.split()[0]) for line in diary.read_text().splitlines()}:
            assert time.monotonic() < deadline, f"{trials} did not begin"
            time.sleep(0.01)

    def finish(self) -> str:
        """Run to the end; what was said."""
        self.let(TRIALS)
        process = self.start()
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return said

    def assert_nothing_runs(self) -> None:
        """No process is left."""
        assert_nothing_runs(self.mark)

    def trials(self) -> list[dict[str, Any]]:
        """What `hpo trials --json` prints; nothing before the first commit."""
        done = subprocess.run(
            [str(HPO), "trials", "kills", "--json"], cwd=self.folder, capture_output=True, text=True
        )
        return json.loads(done.stdout) if done.returncode == 0 else []

    def finished(self) -> dict[int, dict[str, Any]]:
        """The finished trials by number."""
        return {
            t["number"]: t for t in self.trials() if t["state"] in ("complete", "pruned", "fail")
        }

    def assert_whole(self) -> None:
        """Exactly the budget, each trial once, nothing left running."""
        trials = self.trials()
        assert [trial["number"] for trial in trials] == list(range(TRIALS))
        assert {trial["state"] for trial in trials} <= {"complete", "pruned", "fail"}
        assert all(trial["value"] is not None for trial in trials if trial["state"] != "fail")
        self.assert_nothing_runs()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A study of softmax regressions; whatever is left of it is killed afterwards."""
    (tmp_path / "study.yaml").write_text(STUDY)
    shutil.copy(Path(__file__).with_name("softmax.py"), tmp_path)
    made = Lab(tmp_path)
    yield made
    for process in carrying(made.mark):
        process.kill()


def read_until(process: subprocess.Popen[str], pattern: str, times: int = 1) -> str:
    """Read what a run says until so many of its lines have matched; what was said."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        times -= re.match(pattern, line) is not None
        if times == 0:
            return said
    raise AssertionError(f"the run ended before it said {pattern!r}:\n{said}")


@pytest.mark.slow
def test_sigkill_to_the_driver_at_random_moments(lab: Lab) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # shown when the test fails
    moments = random.Random(seed)
    before: dict[int, dict[str, Any]] = {}
    for _ in range(4):
        more = moments.randint(1, 2)
        lab.let(len(before) + more + 1)  # the machine may be fast: something must be left to do
        process = lab.start()
        read_until(process, END, times=more)
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        process.communicate(timeout=20)
        lab.assert_nothing_runs()
        after = lab.finished()
        assert len(before) + more <= len(after) < TRIALS
        assert {number: after[number] for number in before} == before
        before = after
    lab.finish()
    lab.assert_whole()
    after = lab.finished()
    assert {number: after[number] for number in before} == before
    assert max(trial["attempt"] for trial in after.values()) > 1


@pytest.mark.slow
def test_sigkill_to_workers(lab: Lab) -> None:
    lab.let(1)
    process = lab.start()
    said = read_until(process, END)
    lab.await_begun({1, 2})  # each of the two workers has a trial
    templates = psutil.Process(process.pid).children()
    victim, _ = [worker for template in templates for worker in template.children()]
    victim.kill()
    lab.let(TRIALS)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 0, said + rest
    lab.assert_whole()
    moment = look(f"sqlite:///{lab.folder}/runs/hpo.db", "kills")
    assert moment is not None
    lost = [event for event in moment.events if event["kind"] == "trial_lost"]
    assert len(lost) == 1
    assert "SIGKILL" in lost[0]["data"]["reason"]
    again = lab.finished()[lost[0]["trial"]]
    assert again["state"] != "fail" and again["attempt"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_running(lab: Lab, number: signal.Signals) -> None:
    lab.let(2)
    process = lab.start()
    read_until(process, END)
    process.send_signal(number)
    lab.let(TRIALS)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "hpo run study.yaml --allow-code" in said.splitlines()[-1]
    lab.assert_nothing_runs()
    states = {trial["state"] for trial in lab.trials()}
    assert "running" not in states
    before = lab.finished()
    assert len(before) < TRIALS
    lab.finish()
    lab.assert_whole()
    after = lab.finished()
    assert {number: after[number] for number in before} == before


@pytest.mark.slow
def test_a_second_ctrl_c_stops_now(lab: Lab) -> None:
    lab.let(1)
    process = lab.start()
    read_until(process, END)
    process.send_signal(signal.SIGINT)
    read_until(process, ".*Ctrl-C again")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    lab.assert_nothing_runs()
    assert "running" not in {trial["state"] for trial in lab.trials()}
    lab.finish()
    lab.assert_whole()


@pytest.mark.slow
def test_a_second_driver_is_refused(lab: Lab) -> None:
    longer = "objective.arguments.epochs=3000"
    process = lab.start(longer)
    read_until(process, END)
    second = lab.start(longer)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 7
    assert str(process.pid) in said and "Traceback" not in said
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    lab.assert_nothing_runs()


@pytest.mark.slow
def test_a_finished_study_says_so(lab: Lab) -> None:
    lab.finish()
    lab.assert_whole()
    before = lab.trials()
    assert "nothing left to run" in lab.finish()
    assert lab.trials() == before


@pytest.fixture
def storm(tmp_path: Path, storage: str) -> Iterator[Storm]:
    """A study of softmax regressions that pauses them; its seed, and that of the moments, is shown on a failure."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    made = Storm(tmp_path, storage, seed, trials=8, passes=20)
    yield made
    made.close()


@pytest.mark.slow
def test_a_short_storm_of_kills(storm: Storm) -> None:
    storm.kill(6, spread=0.5)
    figures = storm.finish()
    assert not figures.broken
    assert (figures.finished, figures.unfinished, figures.processes) == (8, 0, 0)
    assert figures.kills["driver"] and figures.kills["worker"]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["postgres"], indirect=True)
def test_a_database_that_restarts(storm: Storm, postgres: Postgres) -> None:
    storm.restart(postgres, 2, down=3.0, spread=0.5)
    figures = storm.finish()
    assert not figures.broken
    assert (figures.restarts, figures.drivers, figures.finished) == (2, 1, 8)
    assert figures.repeated == 0
