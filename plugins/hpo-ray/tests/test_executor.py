"""The executor `ray` against the contract of executors, on a real cluster.

Its slots take some five seconds of processor time to start, because Ray Tune does to be imported. So the contract's
trials run one suite after another in two slots that stay: all but the start and the end of a run, which the studies in
the other files go through.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from clock import Clock, Hurry
from hpo_ray.executor import RayExecutor

from hpo_core import Driven, Ending, HpoError, Interrupt, Trial
from hpo_core.testing.distributions import use_distributions, write_distribution
from hpo_core.testing.execution import (
    OBJECTIVES,
    ExecutorContract,
    ScriptedStudy,
    Switch,
    again_after,
    make_trials,
)
from hpo_core.workers import drive
from hpo_core.workers.attempt import Limits
from hpo_core.workers.drive import Drive

pytestmark = pytest.mark.ray

MORE = """
import os, subprocess, time
from hpo_core import hookimpl


def whereabouts(run):
    run.report(1, {
        "score": 1.0,
        "pid": os.getpid(),
        "slot": psutil_parent(psutil_parent(os.getpid())),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "gpus": len(os.environ["CUDA_VISIBLE_DEVICES"]),
        "here": float(os.path.isdir(run.trial.directory)),
    })


def psutil_parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def sleeps(run):
    run.report(1, {"score": 1.0, "slot": psutil_parent(psutil_parent(os.getpid()))})
    if run.trial.attempt == 1:
        subprocess.run(["sleep", "600"])


def hoards(run):
    if run.trial.attempt == 1:
        held = bytearray(os.urandom(1 << 20)) * 400
        time.sleep(600)
    return 1.0


@hookimpl
def register_objectives(register):
    register("whereabouts", whereabouts)
    register("sleeps", sleeps)
    register("hoards", hoards)
"""


class Kept(RayExecutor):
    """Its slots stay from run to run. What an earlier run has left running is killed, as its end would have done."""

    def open(self) -> None:
        """Start the slots."""
        from hpo_ray.cluster import connected
        from hpo_ray.crew import Crew

        self._connection = connected(self.address)
        self._crew = Crew(self._connection.__enter__(), self, 2, "contract-climb")

    def close(self) -> None:
        """End them."""
        self._crew.__exit__()
        self._connection.__exit__(None, None, None)

    def run(self, study: Driven, interrupt: Interrupt) -> None:
        """As `RayExecutor.run`, but for the start and the end."""
        first = study.ask()
        if first is None:
            study.commit()
            return
        try:
            Drive(study, self._crew, self.limits, first).run(interrupt)
        finally:
            self._clear()

    def _clear(self) -> None:
        deadline = time.monotonic() + 60
        while running := [one for one in self._crew.all() if one.attempt is not None]:
            assert time.monotonic() < deadline
            for worker in running:
                assert worker.attempt is not None
                self._crew.kill(worker, worker.attempt, "the test is over")
            for worker, message in self._crew.events(0.2):
                if worker.attempt is None:
                    continue
                if "died" in message or message.get("turn") == worker.attempt.turn:
                    if "report" not in message:
                        self._crew.assign(worker, None)


@pytest.fixture(scope="module")
def kept(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Two slots for this file."""
    folder = tmp_path_factory.mktemp("site")
    write_distribution(folder, "hpo-contract-objectives", OBJECTIVES)
    write_distribution(folder, "hpo-ray-objectives", MORE)
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_distributions(monkeypatch, folder)
        executor = Kept(workers=2, resources={"cpu": 0.5}, address=cluster, memory=300_000_000)
        executor.open()
    yield executor
    executor.close()


class TestRay(ExecutorContract):
    @pytest.fixture
    def executor(self, kept: Kept) -> RayExecutor:
        return kept


def run(kept: Kept, trials: list[Trial]) -> ScriptedStudy:
    """Every lost attempt is repeated once."""
    study = ScriptedStudy(trials)
    study.again = lambda trial, outcome: again_after(study, Ending.LOST, trial, outcome)
    kept.run(study, Switch())
    return study


def test_a_worker_is_at_home_and_sees_its_devices_only(kept: Kept, tmp_path: Path) -> None:
    study = run(kept, make_trials(tmp_path, 2, "whereabouts"))
    seen = [study.reports[number][0].metrics for number in (0, 1)]
    assert {one["threads"] for one in seen} == {1}
    assert {one["gpus"] for one in seen} == {0}
    assert {one["here"] for one in seen} == {1}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(trial_timeout=100), r"ran for 1\d\d s \(trial_timeout\)"),
        (Limits(report_timeout=100), r"no report for 120 s \(report_timeout\)"),
    ],
)
def test_an_attempt_that_takes_too_long_is_lost(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits, reason: str
) -> None:
    from hpo_ray import crew

    clock = Clock()
    for module in (drive, crew):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(kept, "limits", limits)
    study = ScriptedStudy(make_trials(tmp_path, 1, "sleeps"))
    study.again = lambda trial, outcome: again_after(study, Ending.LOST, trial, outcome)
    kept.run(study, Hurry(clock, study))
    assert study.attempts[0, 1].ending == Ending.LOST
    assert re.fullmatch(reason, study.attempts[0, 1].reason)
    assert study.attempts[0, 2].ending == Ending.COMPLETED


def test_an_attempt_that_holds_too_much_is_lost(kept: Kept, tmp_path: Path) -> None:
    study = run(kept, make_trials(tmp_path, 1, "hoards"))
    lost = study.attempts[0, 1]
    assert re.fullmatch(r"exceeded memory: \d+ MB of 300 MB", lost.reason)
    assert lost.out_of_memory and lost.peak_memory is not None and lost.peak_memory > 300e6
    assert study.attempts[0, 2].ending == Ending.COMPLETED


def test_a_slot_that_is_killed_costs_its_attempt_and_comes_back(kept: Kept, tmp_path: Path) -> None:
    """With it goes all that it has started, the trial's own processes too."""
    study = ScriptedStudy(make_trials(tmp_path, 1, "sleeps"))
    study.again = lambda trial, outcome: again_after(study, Ending.LOST, trial, outcome)
    family: list[psutil.Process] = []

    def kill(trial: Trial, report: object) -> object:
        from hpo_core import CONTINUE

        slot = psutil.Process(int(study.reports[0][-1].metrics["slot"]))
        if trial.attempt == 1:
            family.extend([slot, *slot.children(recursive=True)])
            os.kill(slot.pid, signal.SIGKILL)
        return CONTINUE

    study.decide = kill  # type: ignore[assignment]
    kept.run(study, Switch())
    assert study.attempts[0, 1].ending == Ending.LOST
    assert re.match(r"its slot on node 127\.0\.0\.1 was lost: .", study.attempts[0, 1].reason)
    assert study.attempts[0, 2].ending == Ending.COMPLETED
    assert family and not psutil.wait_procs(family, timeout=60)[1]


def test_what_no_node_has_is_said(cluster: str, tmp_path: Path) -> None:
    study = ScriptedStudy(make_trials(tmp_path, 1, "contract-climb"))
    executor = RayExecutor(
        workers=1, resources={"cpu": 1, "tpu": 2}, address=cluster, startup_timeout=1
    )
    with pytest.raises(HpoError) as error:
        executor.run(study, Switch())
    assert "each takes {cpu: 1, tpu: 2}" in str(error.value)
    assert "127.0.0.1: {CPU: 2, bench: 2}" in str(error.value)
    assert not study.outcomes


def test_where_no_line_can_be_laid_everything_goes_through_ray(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall between driver and slots, or `ray://`. Also the one run of the executor itself in this file."""
    from hpo_ray import crew

    monkeypatch.setattr(crew, "connect", lambda address: None)
    write_distribution(tmp_path, "hpo-contract-objectives", OBJECTIVES)
    use_distributions(monkeypatch, tmp_path)
    trials = (
        make_trials(tmp_path, 3, "contract-dies") + make_trials(tmp_path, 5, "contract-adds")[3:]
    )
    study = ScriptedStudy(trials)
    study.again = lambda trial, outcome: again_after(study, Ending.LOST, trial, outcome)
    executor = RayExecutor(workers="auto", resources={"bench": 1}, address=cluster)
    executor.run(study, Switch())
    assert study.endings == [Ending.COMPLETED] * 5
    assert [study.attempts[number, 1].ending for number in range(3)] == [Ending.LOST] * 3
    assert [report.metrics["score"] for report in study.reports[4]] == [1, 3, 6, 10]
