"""The executor `processes` against the contract, and what happens when its processes die."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clock import Clock, Hurry
from hpo_local import processes
from hpo_local.processes import Processes
from pydantic import ValidationError

from hpo_core import CONTINUE, Decision, Ending, Executor, HpoError, PluginError, Report, Trial
from hpo_core.options import options_of
from hpo_core.testing.distributions import use_distributions, write_distribution
from hpo_core.testing.execution import (
    ExecutorContract,
    ScriptedStudy,
    Switch,
    again_after,
    make_trials,
    pause_at,
)
from hpo_core.testing.processes import mark_environment, marked, wait_until_gone
from hpo_core.workers import drive, pool
from hpo_core.workers.attempt import Attempt
from hpo_core.workers.pool import Pool

DEADLY = '''
import ctypes, itertools, os, signal, subprocess, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated
from pydantic import Field
from hpo_core import execution, hookimpl


def note(run, name):
    """Leave a file beside the trials' folders."""
    Path(run.trial.directory).with_name(name).touch()


def wait_for(run, name):
    """Wait for a file beside the trials' folders."""
    while not Path(run.trial.directory).with_name(name).exists():
        time.sleep(0.005)


def hide():
    """Starts a process in a session of its own, whose parent ends at once."""
    subprocess.run(["sh", "-c", "sleep 600 &"], start_new_session=True, check=True)


def dies(run, *, how: Annotated[str, Field(description="how")]):
    """Reports, and then takes its process down in trial 0."""
    run.report(1, {"score": 1.0, "pid": os.getpid()})
    if run.trial.number:
        return
    print("last words", flush=True)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    if how == "crash":
        ctypes.string_at(0)
    if how == "orphan":
        hide()
        os.kill(os.getpid(), signal.SIGKILL)


def sleeps(run):
    """Hides a grandchild and never ends."""
    hide()
    run.report(1, {"score": 1.0, "pid": os.getpid()})
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def tells(run):
    return {"score": 1.0, "threads": float(os.environ["OMP_NUM_THREADS"]), "pid": os.getpid(),
            "session": os.getsid(0), "group": os.getpgrp(), "preloaded": float("wave" in sys.modules)}


def meets(run):
    """Trials 0 and 1 wait for each other."""
    note(run, f"begun-{run.trial.number}")
    for number in (0, 1):
        wait_for(run, f"begun-{number}")
    return {"score": 1.0, "pid": os.getpid()}


def recites(run):
    """Says more than fits into one read; trial 1 when the driver thinks about what trial 0 said."""
    if run.trial.number == 0:
        wait_for(run, "begun-1")
    else:
        run.report(1, {"score": 1.0})
        note(run, "begun-1")
        wait_for(run, "thinking")
    run.report(2, {"score": 1.0} | {f"metric {index}": 0.0 for index in range(5000)})


def talks(run):
    """Says more than fits into one read, and is dead when it is heard."""
    run.report(1, {"score": 1.0} | {f"metric {index}": 0.0 for index in range(5000)})
    os._exit(4)


def cannot(run):
    return 1.0


def imports_slowly(run):
    return 1.0


def hangs(run):
    """Reports, and never again at its first attempt."""
    run.report(1, {"score": 1.0})
    time.sleep(600 if run.trial.attempt == 1 else 0)


def dawdles(run):
    """Reports for ever at its first attempt, each time after 40 s by the clock of its worker."""
    if run.trial.attempt == 1:
        ticks = itertools.count(time.monotonic(), 40)
        execution.time = SimpleNamespace(monotonic=lambda: next(ticks))
    for step in range(1, 3 if run.trial.attempt > 1 else 1_000_000):
        run.report(step, {"score": 1.0})


GROW = "import time; hoard = [b'x' * 10_000_000 for _ in range(25)]; time.sleep(600)"


def hoards(run, *, where: Annotated[str, Field(description="whose memory")]):
    """Takes 250 MB at its first attempt, and keeps it."""
    run.report(1, {"score": 1.0})
    if run.trial.attempt > 1:
        return
    if where == "itself":
        exec(GROW, {})
    else:
        subprocess.run([sys.executable, "-c", GROW], start_new_session=True)


def overflows(run):
    """Is out of memory in trial 1."""
    run.report(1, {"score": 1.0, "pid": os.getpid()})
    if run.trial.number == 1:
        raise MemoryError


def crams(run, *, group: Annotated[str, Field(description="a control group")]):
    """Takes more memory than its control group has, in trial 0."""
    if run.trial.number == 0:
        with open(group, "w") as processes:
            processes.write(str(os.getpid()))
        hoard = [b"x" * 10_000_000 for _ in range(60)]
    return 1.0


def holds(run):
    """Much memory in trial 0, until that was seen, and little in the others."""
    held = b"x" * (200_000_000 if run.trial.number == 0 else 1)
    if run.trial.number == 0:
        wait_for(run, "seen")
    time.sleep(0.2)  # an attempt that takes less is not measured
    return {"score": float(len(held) > 0), "pid": os.getpid()}


NEXT = threading.Event()


def haunts(run):
    """Trial 0 leaves a thread behind, which reports when trial 1 runs."""
    def later():
        NEXT.wait()
        run.report(2, {"score": 99.0})

    run.report(1, {"score": 1.0, "pid": os.getpid()})
    if run.trial.number == 0:
        threading.Thread(target=later, daemon=True).start()
        return
    NEXT.set()
    time.sleep(0.5)  # time for the other to speak up; if it takes longer, it is heard even later
    run.report(2, {"score": 2.0, "pid": os.getpid()})


def prints(run):
    print("a word")
    return 1.0


def whispers(run):
    """What it prints is found to have no place when it has ended."""
    print("a word", end="")
    return 1.0


def fails(run):
    raise ValueError("its own fault")


tells.preload = ("wave",)
cannot.preload = ("hpo_no_such_module",)
imports_slowly.preload = ("hpo_deadly_slow",)


@hookimpl
def register_objectives(register):
    for objective in (dies, sleeps, tells, talks, meets, cannot, imports_slowly,
                      hangs, dawdles, hoards, recites, holds, overflows, crams, haunts, prints, fails, whispers):
        register(objective.__name__.replace("_", "-"), objective)
'''


KILLED = "its worker was killed by SIGKILL (the kernel's out-of-memory killer, or somebody)"


class TestProcesses(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return Processes(workers=2, threads=1)

    def test_a_paused_trial_leaves_a_warm_worker(self, tmp_path: Path) -> None:
        study = ScriptedStudy(make_trials(tmp_path, 2, "contract-adds"), pause_at(2))
        study.again = lambda trial, outcome: again_after(study, Ending.PAUSED, trial, outcome)
        Processes(workers=1, threads=1).run(study, Switch())
        assert len(study.attempts) == 4
        pids = {report.metrics["pid"] for reports in study.reports.values() for report in reports}
        assert len(pids) == 1


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Installs the deadly objectives; what the test starts carries the mark."""
    folder = tmp_path / "site"
    folder.mkdir()
    write_distribution(folder, "hpo-deadly", DEADLY)
    (folder / "hpo_deadly_slow.py").write_text("import time\ntime.sleep(600)\n")
    use_distributions(monkeypatch, folder)
    return mark_environment(monkeypatch)


def run(trials: list[Trial], workers: int = 1) -> ScriptedStudy:
    study = ScriptedStudy(trials)
    Processes(workers=workers, threads=1).run(study, Switch())
    return study


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("kill", KILLED),
        ("exit", "its worker ended with exit code 3"),
        ("crash", "its worker was killed by SIGSEGV"),
        ("orphan", KILLED),
    ],
)
def test_a_worker_that_dies_loses_its_attempt_and_is_replaced(
    tmp_path: Path, mark: str, how: str, reason: str
) -> None:
    study = run(make_trials(tmp_path, 3, "dies", how=how))
    assert study.endings == [Ending.LOST, Ending.COMPLETED, Ending.COMPLETED]
    assert study.outcomes[0].reason == reason
    pids = [study.reports[number][0].metrics["pid"] for number in range(3)]
    assert pids[0] != pids[1] == pids[2]
    log = Path(study.trials[0].directory, "log.txt").read_text()
    assert "last words" in log
    assert ("Segmentation fault" in log) == (how == "crash")
    assert not wait_until_gone(mark)


def test_a_worker_killed_from_outside_takes_all_that_it_started_along(
    tmp_path: Path, mark: str
) -> None:
    """The grandchild in a session of its own is gone before the next worker begins."""
    hidden: list[int] = []

    def asleep() -> int:
        return sum(one.name() == "sleep" for one in marked(mark))

    def kill_the_first(trial: Trial, report: Report) -> Decision:
        end = time.monotonic() + 60
        while trial.number == 0 and not asleep():  # it may not have its name yet
            assert time.monotonic() < end
            time.sleep(0.01)
        hidden.append(asleep())
        if trial.number == 0:
            os.kill(int(report.metrics["pid"]), signal.SIGKILL)
        return CONTINUE

    study = ScriptedStudy(make_trials(tmp_path, 1, "sleeps"), kill_the_first)
    study.trials += make_trials(tmp_path, 2, "tells")[1:]
    Processes(workers=1, threads=1).run(study, Switch())
    assert study.endings == [Ending.LOST, Ending.COMPLETED]
    assert study.outcomes[0].reason == KILLED
    assert hidden == [1, 0]
    assert not wait_until_gone(mark)


def test_two_workers_run_at_once_and_stay(tmp_path: Path, mark: str) -> None:
    study = run(make_trials(tmp_path, 4, "meets"), workers=2)
    assert study.endings == [Ending.COMPLETED] * 4
    pids = [study.reports[number][0].metrics["pid"] for number in range(4)]
    assert pids[0] != pids[1] and set(pids) == {pids[0], pids[1]}


def test_no_more_workers_than_trials(tmp_path: Path, mark: str) -> None:
    study = run(make_trials(tmp_path, 1, "tells"), workers=8)
    assert study.endings == [Ending.COMPLETED]


def test_a_worker_has_its_own_session_threads_and_preloaded_modules(
    tmp_path: Path, mark: str
) -> None:
    study = ScriptedStudy(make_trials(tmp_path, 1, "tells"))
    Processes(workers=1, threads=3).run(study, Switch())
    metrics = study.reports[0][0].metrics
    assert metrics["threads"] == 3
    assert metrics["pid"] == metrics["session"] == metrics["group"]
    assert metrics["preloaded"] == 1


def test_reports_are_committed_before_they_are_answered(tmp_path: Path, mark: str) -> None:
    """Between a report and whatever its trial says next lies a commit."""
    study = run(make_trials(tmp_path, 2, "dies", how="nothing"))
    for index, entry in enumerate(study.log):
        if entry[0] == "report":
            following = study.log[index + 1 :]
            assert following.index(("commit",)) < following.index(("finish", entry[1]))


def test_what_a_worker_said_before_it_died_is_heard(tmp_path: Path, mark: str) -> None:
    [trial] = make_trials(tmp_path, 1, "talks")
    with Pool("talks", 1, {}, startup_timeout=60) as pool:
        worker = pool.take()
        pool.send(worker, {"trial": trial.to_json(), "turn": 0})
        pool.send(worker, {"decision": {"verdict": "continue", "reason": ""}})
        while not marked(mark):  # the template
            time.sleep(0.02)
        until_alone = time.monotonic() + 60
        log = Path(trial.directory)
        while not (log.exists() and len(marked(mark)) == 1):
            assert time.monotonic() < until_alone
            time.sleep(0.02)
        messages: list[dict[str, object]] = []
        while not messages or "died" not in messages[-1]:
            messages += [message for _, message in pool.events(1.0)]
    assert [next(iter(message)) for message in messages] == ["ready", "report", "died"]
    assert messages[-1] == {"died": "exit code 4"}


def test_a_module_that_cannot_be_preloaded_is_a_plugin_error(tmp_path: Path, mark: str) -> None:
    with pytest.raises(PluginError, match="cannot preload hpo_no_such_module: ModuleNotFoundError"):
        run(make_trials(tmp_path, 2, "cannot"))
    assert not wait_until_gone(mark)


def test_workers_that_are_not_ready_in_time_end_the_run(tmp_path: Path, mark: str) -> None:
    study = ScriptedStudy(make_trials(tmp_path, 1, "imports-slowly"))
    with pytest.raises(HpoError, match=r"not ready after 0\.5 s"):
        Processes(workers=1, startup_timeout=0.5).run(study, Switch())
    assert not wait_until_gone(mark)


def test_a_template_that_cannot_start_is_told_with_its_words(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os; os.write(2, b'no room'); os._exit(7)\n"
    )
    with pytest.raises(HpoError, match=r"(?s)died: exit code 7.*no room"):
        run(make_trials(tmp_path, 1, "tells"))


def test_workers_that_die_before_they_are_ready_end_the_run(tmp_path: Path, mark: str) -> None:
    source = Path(tmp_path / "site" / "hpo_deadly.py")
    stillborn = "\nimport os\nos.register_at_fork(after_in_child=lambda: os._exit(9))\n"
    source.write_text(source.read_text() + stillborn)
    study = ScriptedStudy(make_trials(tmp_path, 4, "tells"))
    with pytest.raises(HpoError, match=r"3 workers in a row died .* exit code 9"):
        Processes(workers=2, threads=1).run(study, Switch())
    assert not study.outcomes, "no trial is to blame"


def test_the_second_interrupt_kills_everything_at_once(tmp_path: Path, mark: str) -> None:
    switch = Switch()

    def press(trial: Trial, report: Report) -> Decision:
        switch.now = len(study.reports) == 2
        return CONTINUE

    study = ScriptedStudy(make_trials(tmp_path, 4, "sleeps"), press)
    Processes(workers=2, threads=1).run(study, switch)
    assert not study.outcomes
    assert not wait_until_gone(mark)


DRIVER = """
import sys
from hpo_local.processes import Processes
from hpo_core import CONTINUE
from hpo_core.testing.execution import ScriptedStudy, Switch, make_trials
from pathlib import Path

folder, objective = sys.argv[1:]

def decide(trial, report):
    print("reported", flush=True)
    return CONTINUE

trials = make_trials(Path(folder), 4, objective)
print("begun", flush=True)
Processes(workers=2, threads=1).run(ScriptedStudy(trials, decide), Switch())
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("objective", "lines"), [("sleeps", 3), ("imports-slowly", 1)])
def test_workers_die_with_the_driver(
    tmp_path: Path, mark: str, ending: signal.Signals, objective: str, lines: int
) -> None:
    """Two sleeping trials with a grandchild each, or a template that is still importing."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path), objective],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    with driver:
        assert driver.stdout is not None
        for _ in range(lines):
            assert driver.stdout.readline()
        while len(marked(mark)) < (6 if lines == 3 else 2):  # driver, template, workers, sleeps
            time.sleep(0.02)
        driver.send_signal(ending)
        driver.wait(60)
    assert not wait_until_gone(mark)


def test_workers_die_when_driver_and_template_are_killed(tmp_path: Path, mark: str) -> None:
    """No one is left to kill the workers: they see to it themselves."""

    def kill_the_template(trial: Trial, report: Report) -> Decision:
        if len(study.reports) == 2:
            [template] = [
                one
                for one in marked(mark)
                if "hpo_core.workers.template" in one.cmdline() and one.ppid() == os.getpid()
            ]
            template.kill()
        return CONTINUE

    study = ScriptedStudy(make_trials(tmp_path, 2, "sleeps"), kill_the_template)
    with pytest.raises(HpoError, match="starts workers died: killed by SIGKILL"):
        Processes(workers=2, threads=1).run(study, Switch())
    assert not study.outcomes
    assert not wait_until_gone(mark)


# ---- limits ----


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The driver's clock."""
    clock = Clock()
    monkeypatch.setattr(drive, "time", clock)
    monkeypatch.setattr(pool, "time", clock)
    return clock


def repeating(trials: list[Trial]) -> ScriptedStudy:
    """Every lost attempt is repeated once."""
    study = ScriptedStudy(trials)
    study.again = lambda trial, outcome: again_after(study, Ending.LOST, trial, outcome)
    return study


def test_an_attempt_that_is_silent_for_too_long_is_lost(
    tmp_path: Path, mark: str, clock: Clock
) -> None:
    study = repeating(make_trials(tmp_path, 1, "hangs"))
    Processes(workers=1, threads=1, report_timeout=100).run(study, Hurry(clock, study))
    assert study.attempts[0, 1].ending == Ending.LOST
    assert study.attempts[0, 1].reason == "no report for 120 s (report_timeout)"
    assert study.attempts[0, 2].ending == Ending.COMPLETED


def test_an_attempt_that_takes_too_long_is_lost(tmp_path: Path, mark: str, clock: Clock) -> None:
    study = repeating(make_trials(tmp_path, 1, "dawdles"))
    Processes(workers=1, threads=1, trial_timeout=100).run(study, Switch())
    assert study.attempts[0, 1].ending == Ending.LOST
    assert re.fullmatch(r"ran for 1\d\d s \(trial_timeout\)", study.attempts[0, 1].reason)
    assert study.attempts[0, 2].ending == Ending.COMPLETED


@pytest.mark.parametrize("where", ["itself", "child"])
def test_an_attempt_that_holds_too_much_is_lost(tmp_path: Path, mark: str, where: str) -> None:
    study = repeating(make_trials(tmp_path, 1, "hoards", where=where))
    Processes(workers=1, threads=1, memory=200_000_000).run(study, Switch())
    lost = study.attempts[0, 1]
    assert lost.ending == Ending.LOST
    assert re.fullmatch(r"exceeded memory: [23]\d\d MB of 200 MB", lost.reason)
    assert lost.peak_memory is not None and 200e6 < lost.peak_memory < 400e6
    assert lost.out_of_memory
    assert study.attempts[0, 2].ending == Ending.COMPLETED


def test_the_peak_is_the_attempt_s_and_not_the_worker_s(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Attempt.held

    def seen(attempt: Attempt, number: int | None) -> None:
        held(attempt, number)
        if number is not None and number > 200_000_000:
            (tmp_path / "seen").touch()

    monkeypatch.setattr(Attempt, "held", seen)
    study = run(make_trials(tmp_path, 2, "holds"))
    assert study.reports[0][0].metrics["pid"] == study.reports[1][0].metrics["pid"]
    much, little = (study.outcomes[number].peak_memory for number in (0, 1))
    assert much is not None and little is not None
    assert much > 200_000_000 > little > 1_000_000


def test_a_worker_that_ran_out_of_memory_is_replaced(tmp_path: Path, mark: str) -> None:
    """Only the end of its process gives everything back."""
    study = run(make_trials(tmp_path, 3, "overflows"))
    endings = [(study.endings[number], study.outcomes[number].out_of_memory) for number in range(3)]
    assert endings == [
        (Ending.COMPLETED, False),
        (Ending.LOST, True),
        (Ending.COMPLETED, False),
    ]
    pids = [study.reports[number][0].metrics["pid"] for number in range(3)]
    assert pids[0] == pids[1] != pids[2]


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 80 MB, where this machine lets us make one."""
    group = Path(f"/sys/fs/cgroup/memory/hpo-test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made: {error}")
    (group / "memory.limit_in_bytes").write_text("80000000")
    yield group / "cgroup.procs"
    group.rmdir()


def test_what_the_kernel_killed_was_out_of_memory(
    tmp_path: Path, mark: str, small_group: Path
) -> None:
    study = run(make_trials(tmp_path, 2, "crams", group=str(small_group)))
    assert study.endings == [Ending.LOST, Ending.COMPLETED]
    reason = "its worker was killed by the kernel's out-of-memory killer"
    assert study.outcomes[0].reason == reason and study.outcomes[0].out_of_memory


def test_a_trial_is_not_charged_for_a_slow_study(
    tmp_path: Path, mark: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trial 1 reports while the driver is busy for longer than the trial may be silent."""
    pools: list[Pool] = []

    class Watched(Pool):
        def __enter__(self) -> Watched:
            pools.append(self)
            return self

    def think(trial: Trial, report: Report) -> Decision:
        if trial.number == 0:
            (tmp_path / "thinking").touch()
            assert select.select(pools, [], [], 60)[0], "trial 1 says nothing"
            clock.now += 1000
        return CONTINUE

    monkeypatch.setattr(processes, "Pool", Watched)
    study = ScriptedStudy(make_trials(tmp_path, 2, "recites"), think)
    Processes(workers=2, threads=1, report_timeout=100, trial_timeout=100).run(study, Switch())
    assert study.endings == [Ending.COMPLETED] * 2


def test_what_an_ended_attempt_says_is_nobody_s(tmp_path: Path, mark: str) -> None:
    study = run(make_trials(tmp_path, 2, "haunts"))
    assert study.endings == [Ending.COMPLETED] * 2
    said = {n: [report.metrics["score"] for report in study.reports[n]] for n in (0, 1)}
    assert said == {0: [1.0], 1: [1.0, 2.0]}
    assert study.reports[0][0].metrics["pid"] == study.reports[1][0].metrics["pid"]


@pytest.mark.parametrize(
    ("objective", "ending"),
    [
        ("prints", Ending.INTERRUPTED),
        ("fails", Ending.INTERRUPTED),
        ("whispers", Ending.COMPLETED),
    ],
)
def test_a_full_disk_is_no_fault_of_a_trial(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch, objective: str, ending: Ending
) -> None:
    """The log of trial 0 is on a full disk; its worker serves the next trial."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    trials = make_trials(tmp_path, 1, objective) + make_trials(tmp_path, 2, "prints")[1:]
    log = Path(trials[0].directory, "log.txt")
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")
    study = run(trials)
    assert study.endings == [ending, Ending.COMPLETED]
    if ending is Ending.INTERRUPTED:
        assert study.outcomes[0].reason == f"no space left on the disk of {log}"
    assert Path(trials[1].directory, "log.txt").read_text() == "a word\n"


def test_limits_are_checked_and_described() -> None:
    declared = options_of(Processes)
    assert declared["memory"].value("1.5GB") == 1_500_000_000
    assert declared["memory"].value("512MiB") == 512 * 2**20
    assert declared["memory"].value(10**9) == 10**9
    for name in ("memory", "trial_timeout", "report_timeout"):
        assert declared[name].value(None) is None and declared[name].description
        with pytest.raises(ValidationError):
            declared[name].value(0)
    with pytest.raises(ValidationError):
        declared["memory"].value("4 gigs")


def test_defaults_share_the_cores() -> None:
    executor = Processes()
    assert 1 <= executor.workers <= 8
    assert Processes(workers=1000).threads == 1
    assert Processes(workers=2, threads=5).threads == 5
