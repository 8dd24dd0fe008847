"""One attempt at a trial: what an objective may do, and that whatever it does becomes an outcome."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from hpo_core import CONTINUE, Decision, Ending, Outcome, Report, Run, Trial
from hpo_core.catalog import Catalog, Entry
from hpo_core.contracts import TrialStopped
from hpo_core.execution import LiveRun, execute

STOP = Decision.stopped("rung 1")


class Driver:
    """Answers reports: with `stop_at`, the stop comes at that step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.reports: list[Report] = []

    def send(self, report: Report) -> Decision:
        self.reports.append(report)
        return STOP if report.step == self.stop_at else CONTINUE


def make_trial(objective: str = "objective", **config: Any) -> Trial:
    return Trial(0, 1, objective, {}, config, 7, "loss", "minimize", "runs/s/trials/0000/attempt-1")


def outcome_of(
    objective: Callable[..., Any], driver: Driver | None = None, **config: Any
) -> Outcome:
    catalog = Catalog()
    catalog.add(Entry("objectives", "objective", objective, "tests", "tests"))
    return execute(make_trial(**config), catalog, (driver or Driver()).send)


# ---- reports ----


def test_a_report_travels_with_the_time_since_the_one_before() -> None:
    driver = Driver()
    run = LiveRun(make_trial(), driver.send)
    assert run.report(1, {"loss": 2, "other": True}) == CONTINUE
    run.report(5, {"loss": 0.5})
    first, second = driver.reports
    assert (first.step, first.metrics) == (1, {"loss": 2.0, "other": 1.0})
    assert all(type(value) is float for value in first.metrics.values())
    assert (first.checkpoint, second.step, second.checkpoint) == (None, 5, None)
    assert first.seconds >= 0 and second.seconds >= 0
    assert run.next_step == 6


@pytest.mark.parametrize("step", [3, 2, 0, -1])
def test_steps_must_grow(step: int) -> None:
    driver = Driver()
    run = LiveRun(make_trial(), driver.send)
    run.report(3, {"loss": 1.0})
    with pytest.raises(ValueError, match=f"steps must grow: {step} was reported after 3"):
        run.report(step, {"loss": 1.0})
    assert len(driver.reports) == 1


def test_the_studys_metric_must_be_reported() -> None:
    run = LiveRun(make_trial(), Driver().send)
    with pytest.raises(ValueError, match=r"'loss' was not reported \(got: acc, lr\)"):
        run.report(1, {"lr": 1.0, "acc": 1.0})
    with pytest.raises(ValueError, match=r"\(got: none\)"):
        run.report(1, {})


def test_a_report_after_a_stop_ends_the_trial() -> None:
    run = LiveRun(make_trial(), Driver(stop_at=1).send)
    assert run.report(1, {"loss": 1.0}) == STOP and run.stopped
    with pytest.raises(TrialStopped):
        run.report(2, {"loss": 1.0})


# ---- endings ----


def test_an_objective_that_reports_and_returns_completes() -> None:
    def objective(run: Run) -> None:
        run.report(1, {"loss": 1.0})

    assert outcome_of(objective) == Outcome(Ending.COMPLETED)


@pytest.mark.parametrize("result", [0.25, 1, {"loss": 0.25, "other": 2}])
def test_what_an_objective_returns_is_a_last_report(result: Any) -> None:
    def objective(run: Run) -> Any:
        run.report(4, {"loss": 1.0})
        return result

    driver = Driver()
    assert outcome_of(objective, driver) == Outcome(Ending.COMPLETED)
    assert [report.step for report in driver.reports] == [4, 5]
    metrics = result if isinstance(result, dict) else {"loss": result}
    assert driver.reports[-1].metrics == metrics


def test_nan_is_sent_for_the_study_to_judge() -> None:
    driver = Driver()
    outcome_of(lambda run: math.nan, driver)
    assert math.isnan(driver.reports[0].metrics["loss"])


def test_an_objective_that_obeys_a_stop_is_stopped_with_its_reason() -> None:
    def objective(run: Run) -> float | None:
        for epoch in range(1, 10):
            if run.report(epoch, {"loss": 1.0}).stop:
                break
        return 99.0

    driver = Driver(stop_at=2)
    assert outcome_of(objective, driver) == Outcome(Ending.STOPPED, "rung 1")
    assert [report.step for report in driver.reports] == [1, 2]  # what it returned is not reported


def test_an_objective_that_ignores_a_stop_is_stopped_all_the_same() -> None:
    def objective(run: Run) -> None:
        for epoch in range(1, 10):
            try:
                run.report(epoch, {"loss": 1.0})
            except Exception:
                continue

    driver = Driver(stop_at=2)
    assert outcome_of(objective, driver) == Outcome(Ending.STOPPED, "rung 1")
    assert len(driver.reports) == 2


def test_an_objective_that_says_nothing_fails() -> None:
    outcome = outcome_of(lambda run: None)
    assert outcome == Outcome(
        Ending.FAILED, "the objective reported no 'loss' and returned nothing"
    )


class Odd(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\nlines  and\tspace"), "ValueError: two lines and space"),
        (RuntimeError(), "RuntimeError"),
        (Odd("not even an Exception"), "Odd: not even an Exception"),
        (GeneratorExit(), "GeneratorExit"),
        (ValueError("x" * 9999), "ValueError: " + "x" * 488),
    ],
)
def test_whatever_an_objective_raises_is_a_failure_with_its_reason(
    error: BaseException, reason: str
) -> None:
    def objective(run: Run) -> None:
        run.report(1, {"loss": 1.0})
        raise error

    outcome = outcome_of(objective)
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, reason)
    assert "raise error" in outcome.traceback


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes(error: type[BaseException]) -> None:
    def objective(run: Run) -> None:
        raise error

    with pytest.raises(error):
        outcome_of(objective)


@pytest.mark.parametrize("result", ["many", [1, 2], {"loss": "low"}, {"other": 1.0}, 10**400])
def test_what_is_no_result_is_a_failure(result: Any) -> None:
    outcome = outcome_of(lambda run: result)
    assert outcome.ending is Ending.FAILED and outcome.reason


def test_an_objective_that_is_not_installed_here_is_a_failure() -> None:
    outcome = execute(make_trial("elsewhere"), Catalog(), Driver().send)
    assert outcome.ending is Ending.FAILED
    assert outcome.reason == "UnknownNameError: there is no objective 'elsewhere'"


def test_an_option_that_is_not_known_here_is_a_failure() -> None:
    def objective(run: Run, *, lr: float = 0.1) -> float:
        return lr

    assert outcome_of(objective, lr=0.5) == Outcome(Ending.COMPLETED)
    outcome = outcome_of(objective, momentum=0.9)
    assert outcome.ending is Ending.FAILED and "no option 'momentum'" in outcome.reason


# ---- what no database or folder could take ----


def test_numpys_steps_are_numbers_like_others() -> None:
    driver = Driver()
    run = LiveRun(make_trial(), driver.send)
    run.report(numpy.int64(2), {"loss": numpy.float32(1)})  # type: ignore[arg-type,dict-item]
    assert (type(driver.reports[0].step), driver.reports[0].step) == (int, 2)
    with pytest.raises(TypeError):
        run.report(2.5, {"loss": 1.0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="up to 2147483647: got 2147483648"):
        run.report(2**31, {"loss": 1.0})


@pytest.mark.parametrize("name", ["m" * 257, "zero\0", "half\ud800"])
def test_a_metrics_name_must_fit_the_database(name: str) -> None:
    run = LiveRun(make_trial(), Driver().send)
    with pytest.raises(ValueError, match="a metric's name has at most 256 characters"):
        run.report(1, {"loss": 1.0, name: 2.0})
    run.report(1, {"loss": 1.0, "m" * 256: 2.0, "größe": 3.0})


def test_a_checkpoint_comes_before_the_report_of_its_step() -> None:
    run = LiveRun(make_trial(), Driver().send)
    run.report(1, {"loss": 1.0})
    with pytest.raises(ValueError, match="saved before its step is reported: 1 came after 1"):
        run.checkpoint(1)


def test_an_objective_may_change_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def objective(run: Run) -> None:
        os.chdir(tmp_path / "elsewhere")
        with run.checkpoint(1) as folder:
            (folder / "state").write_text("1")
        run.report(1, {"loss": 1.0})

    driver = Driver()
    assert outcome_of(objective, driver) == Outcome(Ending.COMPLETED)
    assert Path.cwd() == tmp_path
    saved = driver.reports[0].checkpoint
    assert saved is not None
    assert saved.path == "runs/s/trials/0000/attempt-1/checkpoints/step-000001"
    again = LiveRun(replace(make_trial(), checkpoints=(saved,)), driver.send)
    assert again.restored is not None and again.restored.path == tmp_path / saved.path
