"""What every executor must do, as a pytest class: subclass it, and give the fixture `executor`.

::

    class TestInline(ExecutorContract):
        @pytest.fixture
        def executor(self):
            return Inline()

The trials come from a ScriptedStudy and run the objectives in OBJECTIVES, which are installed for the test as a
distribution of its own, so that worker processes find them too. What an executor that cannot do it is not asked:
`workers = 1` where trials run one after another, `isolated = False` where they run in the driver's own process.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hpo_core.checkpoints import verify
from hpo_core.contracts import Executor, Interrupt
from hpo_core.scheduling import CONTINUE, Decision
from hpo_core.testing.distributions import use_distributions, write_distribution
from hpo_core.testing.processes import mark_environment, wait_until_gone
from hpo_core.trial import Ending, Outcome, Report, Trial

OBJECTIVES = '''
import math, os, signal, sys, time
from typing import Annotated
from pydantic import Field
from hpo_core import hookimpl

Steps = Annotated[int, Field(description="steps")]


def climb(run, *, steps: Steps = 3):
    for step in range(1, steps + 1):
        run.report(step, {"score": run.trial.number + step / 10, "pid": os.getpid()})


def obey(run, *, steps: Steps = 1000):
    for step in range(1, steps + 1):
        if run.report(step, {"score": float(step)}).stop:
            return


def deaf(run, *, steps: Steps = 1000):
    for step in range(1, steps + 1):
        try:
            run.report(step, {"score": float(step)})
        except Exception:
            pass


def returns(run):
    return {"score": 0.5, "loss": math.nan, "high": math.inf}


def prints(run):
    print("said to stdout")
    sys.stdout.flush()
    return 1.0


def raises(run):
    raise ValueError("this is the\\n reason")


def adds(run, *, steps: Steps = 4):
    """The score is the sum of the steps, which is kept in the checkpoints alone: a wrong start would show."""
    total, done = 0, 0
    if run.restored is not None:
        total, done = int((run.restored.path / "total").read_text()), run.restored.step
    for step in range(done + 1, steps + 1):
        total += step
        with run.checkpoint(step) as folder:
            (folder / "total").write_text(str(total))
        if run.report(step, {"score": total, "pid": os.getpid()}).stop:
            return


def rests(run):
    time.sleep(0.5)
    return 1.0


def hoards(run, *, steps: Steps = 3):
    """Runs out of memory at the first attempt, after two epochs."""
    for step in range(1, steps + 1):
        if step == 3 and run.trial.attempt == 1:
            raise MemoryError
        run.report(step, {"score": float(step)})


def dies(run, *, steps: Steps = 3):
    """Is killed at the first attempt, after two epochs."""
    for step in range(1, steps + 1):
        if step == 3 and run.trial.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        run.report(step, {"score": float(step), "pid": os.getpid()})


@hookimpl
def register_objectives(register):
    for objective in (climb, obey, deaf, returns, prints, raises, adds, rests, hoards, dies):
        register(f"contract-{objective.__name__}", objective)
'''

Decide = Callable[[Trial, Report], Decision]
Again = Callable[[Trial, Outcome], Trial | None]


@dataclass
class ScriptedStudy:
    """A study that gives the trials of a list and writes down all it hears; implements `hpo_core.Driven`.

    `ready` says whether the next trial may be asked for already, `decide` answers reports, `again` may add a trial to
    the list when an attempt has ended: `another` makes the next attempt. `log` holds what was called, in order:
    `("ask", number or None)`, `("report", number, step)`, `("finish", number)` and `("commit",)`. `reports` and
    `outcomes` hold those of all attempts and the last one by the trial's number, `attempts` the outcomes by number and
    attempt.
    """

    trials: list[Trial]
    decide: Decide = lambda trial, report: CONTINUE
    ready: Callable[[ScriptedStudy], bool] = lambda study: True
    again: Again = lambda trial, outcome: None
    log: list[tuple[Any, ...]] = field(default_factory=list)
    reports: dict[int, list[Report]] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    attempts: dict[tuple[int, int], Outcome] = field(default_factory=dict)
    asked: int = 0

    def ask(self) -> Trial | None:
        """The next trial of the list."""
        trial = None
        if self.asked < len(self.trials) and self.ready(self):
            trial = self.trials[self.asked]
            self.asked += 1
        self.log.append(("ask", trial.number if trial else None))
        return trial

    def report(self, trial: Trial, report: Report) -> Decision:
        """Write the report down and decide."""
        assert (trial.number, trial.attempt) not in self.attempts, (
            "a report after the attempt's end"
        )
        self.log.append(("report", trial.number, report.step))
        self.reports.setdefault(trial.number, []).append(report)
        return self.decide(trial, report)

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """Write the outcome down; a second one for an attempt is an error."""
        key = (trial.number, trial.attempt)
        assert key not in self.attempts, f"trial {trial.number} was finished twice"
        self.log.append(("finish", trial.number))
        self.outcomes[trial.number] = self.attempts[key] = outcome
        following = self.again(trial, outcome)
        if following is not None:
            self.trials.append(following)

    def commit(self) -> None:
        """Write down that it was called."""
        self.log.append(("commit",))

    def another(self, trial: Trial) -> Trial:
        """The next attempt at a trial, with all checkpoints that it has reported, newest first."""
        saved = [report.checkpoint for report in self.reports.get(trial.number, ())]
        checkpoints = tuple(one for one in reversed(saved) if one is not None)
        attempt = trial.attempt + 1
        folder = Path(trial.directory).with_name(f"trial-{trial.number:04d}-{attempt}")
        return replace(trial, attempt=attempt, checkpoints=checkpoints, directory=str(folder))

    @property
    def endings(self) -> list[Ending]:
        """How the trials ended, in the order of their numbers."""
        return [self.outcomes[number].ending for number in sorted(self.outcomes)]


@dataclass
class Switch:
    """Whether the user wants out; implements `hpo_core.Interrupt`."""

    now: bool = False


def make_trials(
    folder: Path, count: int, objective: str, *, code_path: list[str] | None = None, **config: Any
) -> list[Trial]:
    """Trials of one objective with the same options, each with a directory of its own below `folder`."""
    return [
        Trial(
            number=number,
            attempt=1,
            objective=objective,
            params={},
            config=config,
            seed=number,
            metric="score",
            goal="maximize",
            directory=str(folder / f"trial-{number:04d}"),
            code_path=code_path,
        )
        for number in range(count)
    ]


class ExecutorContract:
    """What an executor's own tests subclass. `workers` is how many trials the fixture's executor runs at once."""

    workers = 2
    isolated = True

    @pytest.fixture
    def executor(self) -> Executor:
        """The executor under test."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def nothing_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Installs the objectives; after the test, no process that it started may live."""
        folder = tmp_path / "site"
        folder.mkdir()
        write_distribution(folder, "hpo-contract-objectives", OBJECTIVES)
        use_distributions(monkeypatch, folder)
        mark = mark_environment(monkeypatch)
        yield
        left = [process for process in wait_until_gone(mark) if process.pid != os.getpid()]
        assert not left, f"left behind: {left}"

    def run(
        self,
        executor: Executor,
        tmp_path: Path,
        objective: str,
        count: int = 1,
        *,
        decide: Decide = lambda trial, report: CONTINUE,
        interrupt: Interrupt | None = None,
        **config: Any,
    ) -> ScriptedStudy:
        """Run trials of one of the contract's objectives."""
        trials = make_trials(tmp_path, count, f"contract-{objective}", **config)
        study = ScriptedStudy(trials, decide)
        executor.run(study, interrupt or Switch())
        return study

    def test_is_an_executor(self, executor: Executor) -> None:
        assert isinstance(executor, Executor)

    def test_an_empty_study_ends(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "climb", 0)
        assert study.log[0] == ("ask", None)

    def test_runs_every_trial_to_its_end(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "climb", 5, steps=3)
        assert study.endings == [Ending.COMPLETED] * 5
        for number, reports in study.reports.items():
            assert [report.step for report in reports] == [1, 2, 3]
            assert reports[-1].metrics["score"] == pytest.approx(number + 0.3)
            assert all(report.seconds >= 0 for report in reports)

    def test_asks_until_there_is_nothing(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "climb", 4)
        assert [entry[1] for entry in study.log if entry[0] == "ask"][:4] == [0, 1, 2, 3]
        assert ("ask", None) in study.log[study.log.index(("ask", 3)) :]

    def test_a_trial_may_come_after_another_ended(self, executor: Executor, tmp_path: Path) -> None:
        study = ScriptedStudy(make_trials(tmp_path, 3, "contract-climb"))
        study.ready = lambda study: study.asked == len(study.outcomes)  # one at a time
        executor.run(study, Switch())
        assert study.endings == [Ending.COMPLETED] * 3

    def test_a_decision_to_stop_ends_the_trial(self, executor: Executor, tmp_path: Path) -> None:
        def decide(trial: Trial, report: Report) -> Decision:
            return Decision.stopped("no good") if report.step == 2 else CONTINUE

        study = self.run(executor, tmp_path, "obey", 2, decide=decide)
        assert study.endings == [Ending.STOPPED] * 2
        assert {outcome.reason for outcome in study.outcomes.values()} == {"no good"}
        assert [len(reports) for reports in study.reports.values()] == [2, 2]

    def test_an_objective_that_goes_on_is_stopped(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "deaf", decide=lambda *_: Decision.stopped("enough"))
        assert study.endings == [Ending.STOPPED]
        assert len(study.reports[0]) == 1

    def test_numbers_that_json_lacks_arrive(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "returns")
        metrics = study.reports[0][0].metrics
        assert metrics["score"] == 0.5 and metrics["high"] == math.inf
        assert math.isnan(metrics["loss"])

    def test_an_error_fails_its_trial_only(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "raises", 3)
        assert study.endings == [Ending.FAILED] * 3
        assert study.outcomes[0].reason == "ValueError: this is the reason"
        assert "raise ValueError" in study.outcomes[0].traceback

    def test_the_traceback_ends_the_log(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "raises")
        log = Path(study.trials[0].directory, "log.txt").read_text()
        assert log.endswith(study.outcomes[0].traceback)

    def test_an_unknown_objective_is_told(self, executor: Executor, tmp_path: Path) -> None:
        """As a failed trial or as an error of the run, according to where it is found out."""
        try:
            study = self.run(executor, tmp_path, "clim")
        except Exception as error:
            assert "contract-clim" in str(error)
        else:
            assert "contract-clim" in study.outcomes[0].reason

    def test_standard_output_stays_the_driver_s(
        self, executor: Executor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        def decide(trial: Trial, report: Report) -> Decision:
            print(f"the study says {report.step}", file=sys.stdout)
            return CONTINUE

        self.run(executor, tmp_path, "prints", decide=decide)
        assert capfd.readouterr().out == "the study says 1\n"

    def test_commits_at_the_end(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "climb", 2)
        last = max(index for index, entry in enumerate(study.log) if entry[0] == "finish")
        assert ("commit",) in study.log[last:]

    def test_returns_at_once_when_the_user_wants_out(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        switch = Switch()

        def decide(trial: Trial, report: Report) -> Decision:
            switch.now = True
            return CONTINUE

        study = self.run(executor, tmp_path, "climb", 50, decide=decide, interrupt=switch, steps=1)
        assert len(study.outcomes) < 50

    def test_an_error_of_the_study_passes_through(self, executor: Executor, tmp_path: Path) -> None:
        def decide(trial: Trial, report: Report) -> Decision:
            raise RuntimeError("the disk is full")

        with pytest.raises(RuntimeError, match="the disk is full"):
            self.run(executor, tmp_path, "climb", 3, decide=decide)

    # ---- pausing, resuming, cloning, losing ----

    def test_a_paused_trial_continues_from_its_checkpoint(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        study = ScriptedStudy(make_trials(tmp_path, 2, "contract-adds"), pause_at(2))
        study.again = lambda trial, outcome: again_after(study, Ending.PAUSED, trial, outcome)
        executor.run(study, Switch())
        for number in (0, 1):
            assert study.attempts[number, 1].ending == Ending.PAUSED
            assert study.attempts[number, 1].reason == "wait"
            assert study.attempts[number, 2].ending == Ending.COMPLETED
            assert totals(study, number) == [(1, 1), (2, 3), (3, 6), (4, 10)]

    def test_a_checkpoint_travels_with_its_report(self, executor: Executor, tmp_path: Path) -> None:
        study = self.run(executor, tmp_path, "adds")
        for report in study.reports[0]:
            assert report.checkpoint is not None and report.checkpoint.step == report.step
            saved = verify(report.checkpoint) / "total"
            assert float(saved.read_text()) == report.metrics["score"]

    def test_a_damaged_checkpoint_is_passed_over_and_told(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        def damage(trial: Trial, outcome: Outcome) -> Trial | None:
            following = again_after(study, Ending.PAUSED, trial, outcome)
            if following is not None:
                Path(following.checkpoints[0].path, "total").write_text("7")
            return following

        study = ScriptedStudy(make_trials(tmp_path, 1, "contract-adds"), pause_at(3), again=damage)
        executor.run(study, Switch())
        assert totals(study, 0) == [(1, 1), (2, 3), (3, 6), (3, 6), (4, 10)]
        warnings = [warning for report in study.reports[0] for warning in report.warnings]
        assert warnings and not study.reports[0][2].warnings

    def test_a_clone_begins_with_its_parent_s_checkpoint(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        def clone(parent: Trial, outcome: Outcome) -> Trial | None:
            if parent.number:
                return None
            donated = study.reports[0][1].checkpoint
            assert donated is not None
            [_, child] = make_trials(tmp_path, 2, "contract-adds", steps=3)
            return replace(child, parent=0, parent_step=2, checkpoints=(donated,))

        study = ScriptedStudy(make_trials(tmp_path, 1, "contract-adds", steps=2), again=clone)
        executor.run(study, Switch())
        assert study.endings == [Ending.COMPLETED] * 2
        assert totals(study, 0) == [(1, 1), (2, 3)]
        assert totals(study, 1) == [(3, 6)]

    def test_a_trial_resumes_when_another_has_reported(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """What a study answers None to may be there after a report, long before the other trial ends."""
        if self.workers == 1:
            pytest.skip("trials run one after another")

        def decide(trial: Trial, report: Report) -> Decision:
            if trial.number == 0:
                return pause_at(2)(trial, report)
            done = len(study.reports.get(0, ())) == 4
            return Decision.stopped("the other has ended") if done else CONTINUE

        study = ScriptedStudy(make_trials(tmp_path, 1, "contract-adds"), decide)
        study.trials += make_trials(tmp_path, 2, "contract-obey", steps=1_000_000)[1:]
        study.again = lambda trial, outcome: again_after(study, Ending.PAUSED, trial, outcome)
        executor.run(study, Switch())
        assert study.outcomes[0].ending == Ending.COMPLETED
        assert study.outcomes[1].ending == Ending.STOPPED, "trial 0 waited for trial 1's end"
        assert totals(study, 0) == [(1, 1), (2, 3), (3, 6), (4, 10)]

    def test_a_free_place_is_offered_after_a_report(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        if self.workers == 1:
            pytest.skip("trials run one after another")

        def decide(trial: Trial, report: Report) -> Decision:
            done = 1 in study.outcomes
            return Decision.stopped("the other has ended") if done else CONTINUE

        study = ScriptedStudy(make_trials(tmp_path, 2, "contract-obey", steps=1_000_000), decide)
        study.trials[1] = make_trials(tmp_path, 2, "contract-climb")[1]
        study.ready = lambda study: study.asked == 0 or len(study.reports.get(0, ())) >= 3
        executor.run(study, Switch())
        assert study.endings == [Ending.STOPPED, Ending.COMPLETED]

    def test_asks_again_only_when_something_has_happened(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """However many workers are free meanwhile."""
        study = self.run(executor, tmp_path, "rests")
        asked = sum(entry == ("ask", None) for entry in study.log)
        assert 1 <= asked <= 2 + len(study.reports[0])

    @pytest.mark.parametrize("objective", ["hoards", "dies"])
    def test_a_lost_attempt_is_repeated(
        self, executor: Executor, tmp_path: Path, objective: str
    ) -> None:
        if objective == "dies" and not self.isolated:
            pytest.skip("trials run in the driver's own process")
        study = ScriptedStudy(make_trials(tmp_path, 2, f"contract-{objective}"))
        study.again = lambda trial, outcome: again_after(study, Ending.LOST, trial, outcome)
        executor.run(study, Switch())
        cause = {"hoards": "out of memory", "dies": "SIGKILL"}[objective]
        for number in (0, 1):
            assert study.attempts[number, 1].ending == Ending.LOST
            assert cause in study.attempts[number, 1].reason
            assert study.attempts[number, 1].out_of_memory == (objective == "hoards")
            assert study.attempts[number, 2].ending == Ending.COMPLETED
            assert [report.step for report in study.reports[number]] == [1, 2, 1, 2, 3]

    def test_an_attempt_that_is_not_current_any_more_ends(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """A study tells a lost attempt to stop at its next report, while the trial runs elsewhere already."""

        def decide(trial: Trial, report: Report) -> Decision:
            if trial.number == 0 and trial.attempt == 1 and report.step == 2:
                study.trials.append(study.another(trial))
                return Decision.stopped("attempt 1 is not current")
            return CONTINUE

        study = ScriptedStudy(make_trials(tmp_path, 1, "contract-obey", steps=4), decide)
        executor.run(study, Switch())
        assert study.attempts[0, 1].ending == Ending.STOPPED
        assert study.attempts[0, 2].ending == Ending.COMPLETED
        assert [report.step for report in study.reports[0]] == [1, 2, 1, 2, 3, 4]


def pause_at(step: int) -> Decide:
    """Pauses each trial's first attempt after so many epochs."""

    def decide(trial: Trial, report: Report) -> Decision:
        return Decision.paused("wait") if (trial.attempt, report.step) == (1, step) else CONTINUE

    return decide


def again_after(
    study: ScriptedStudy, ending: Ending, trial: Trial, outcome: Outcome
) -> Trial | None:
    """Another attempt at a trial whose attempt ended so."""
    return study.another(trial) if outcome.ending is ending else None


def totals(study: ScriptedStudy, number: int) -> list[tuple[int, float]]:
    """The steps that a trial has reported, with the scores."""
    return [(report.step, report.metrics["score"]) for report in study.reports[number]]
