"""What every executor must do, as a pytest class: subclass it, and give the fixture `executor`.

::

    class TestInline(ExecutorContract):
        @pytest.fixture
        def executor(self):
            return Inline()

The trials come from a ScriptedStudy and run the objectives in OBJECTIVES, which are installed for the test as a
distribution of its own, so that worker processes find them too.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hpo_core.contracts import Executor, Interrupt
from hpo_core.scheduling import CONTINUE, Decision
from hpo_core.testing.distributions import use_distributions, write_distribution
from hpo_core.testing.processes import mark_environment, wait_until_gone
from hpo_core.trial import Ending, Outcome, Report, Trial

OBJECTIVES = """
import math, os, sys
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


@hookimpl
def register_objectives(register):
    for objective in (climb, obey, deaf, returns, prints, raises):
        register(f"contract-{objective.__name__}", objective)
"""

Decide = Callable[[Trial, Report], Decision]


@dataclass
class ScriptedStudy:
    """A study that gives the trials of a list and writes down all it hears; implements `hpo_core.Driven`.

    `ready` says whether the next trial may be asked for already, `decide` answers reports. `log` holds what was called,
    in order: `("ask", number or None)`, `("report", number, step)`, `("finish", number)` and `("commit",)`.
    """

    trials: list[Trial]
    decide: Decide = lambda trial, report: CONTINUE
    ready: Callable[[ScriptedStudy], bool] = lambda study: True
    log: list[tuple[Any, ...]] = field(default_factory=list)
    reports: dict[int, list[Report]] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
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
        assert trial.number not in self.outcomes, "a trial reported after its end"
        self.log.append(("report", trial.number, report.step))
        self.reports.setdefault(trial.number, []).append(report)
        return self.decide(trial, report)

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """Write the outcome down; a second one for a trial is an error."""
        assert trial.number not in self.outcomes, f"trial {trial.number} was finished twice"
        self.log.append(("finish", trial.number))
        self.outcomes[trial.number] = outcome

    def commit(self) -> None:
        """Write down that it was called."""
        self.log.append(("commit",))

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
