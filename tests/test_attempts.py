"""Attempts that are lost, late or out of memory: none may change what is finished, and none is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from driving import Scripted, curve, drive, frozen, open_study
from optuna.trial import TrialState
from stored import Offer, RunStudy, rows, states, stored

from hpo_core import Checkpoint, Ending, Outcome, Report, Run, Trial
from hpo_core.catalog import Catalog
from hpo_core.errors import NoSuccessError
from hpo_core.execution import execute
from hpo_core.replay import replay
from hpo_core.spec import StudySpec
from hpo_core.storage import database, studies
from hpo_core.study import DrivenStudy

SavingSpec = Callable[..., StudySpec]
LOST = Outcome(Ending.LOST, "its worker was killed by signal 9", peak_memory=1000)


@pytest.fixture
def spec(saving_spec: SavingSpec) -> StudySpec:
    """Four trials of the saving objective; what becomes of them is up to `Scripted`."""
    return saving_spec("scripted", "{trials: 4, max_attempts: 2}")


def asked(study: DrivenStudy) -> Trial:
    """A trial that must be there."""
    trial = study.ask()
    assert trial is not None
    return trial


def run(study: DrivenStudy, catalog: Catalog, trial: Trial) -> Outcome:
    """Run an attempt to its end, and say so."""
    outcome = execute(trial, catalog, lambda report: study.report(trial, report))
    study.finish(trial, outcome)
    return outcome


# ---- late ----


def test_what_a_lost_attempt_still_says_is_dropped(spec: StudySpec, catalog: Catalog) -> None:
    study = open_study(spec, catalog)
    old = asked(study)
    study.report(old, Report(1, {"loss": 5.0}))
    study.finish(old, LOST)
    new = asked(study)
    study.commit()
    assert (new.number, new.attempt) == (0, 2)
    before = stored(spec)
    trials = rows(spec)
    decision = study.report(old, Report(2, {"loss": -1e9}, checkpoint=Checkpoint(2, "c", "0")))
    assert decision.stop and decision.reason == "attempt 1 was given up"
    study.finish(old, Outcome(Ending.COMPLETED))
    late = stored(spec)[len(before) :]
    assert [(event.kind, event.trial) for event in late] == [("late", 0), ("late", 0)]
    assert late[0].data == {"attempt": 1, "step": 2}
    assert late[1].data == {"attempt": 1, "ending": "completed", "reason": ""}
    assert rows(spec) == trials and study.epochs == 1
    run(study, catalog, new)
    assert rows(spec)[0].value == min(curve(**new.params, epochs=3))


@pytest.mark.parametrize("ending", [Ending.COMPLETED, Ending.FAILED, Ending.LOST])
def test_a_finished_trial_never_changes(spec: StudySpec, catalog: Catalog, ending: Ending) -> None:
    study = open_study(spec, catalog)
    trial = asked(study)
    run(study, catalog, trial)
    before = rows(spec)
    assert study.report(trial, Report(9, {"loss": -1e9})).stop
    study.finish(trial, Outcome(ending, "again"))
    assert rows(spec) == before and study.finished == 1
    again = open_study(spec, catalog)  # and the late events do not confuse a continued one
    assert again.finished == 1 and again.epochs == 3


def test_a_paused_trials_attempt_is_late_as_well(spec: StudySpec, catalog: Catalog) -> None:
    Scripted.pauses = {0: 1}
    study = open_study(spec, catalog)
    trial = asked(study)
    run(study, catalog, trial)
    assert study.report(trial, Report(2, {"loss": 0.0})).stop
    assert states(spec) == ["paused"] and stored(spec)[-1].kind != "report"


# ---- lost ----


def test_a_lost_attempt_is_repeated_from_its_checkpoint(spec: StudySpec, catalog: Catalog) -> None:
    study = open_study(spec, catalog)
    trial = asked(study)

    def send(report: Report) -> object:
        decision = study.report(trial, report)
        if report.step == 2:
            raise SystemExit  # the worker dies
        return decision

    with pytest.raises(SystemExit):
        execute(trial, catalog, send)  # type: ignore[arg-type]
    study.finish(trial, LOST)
    assert states(spec) == ["paused"] and study.requeued == 1
    lost = stored(spec)[-1]
    assert (lost.kind, lost.data["reason"]) == ("trial_lost", LOST.reason)
    assert (lost.data["steps"], lost.data["peak_memory"]) == (2, 1000)
    again = asked(study)
    assert (again.number, again.attempt) == (0, 2)
    assert [each.step for each in again.checkpoints] == [2, 1]
    run(study, catalog, again)
    reports = [event.data for event in stored(spec) if event.kind == "report"]
    assert [(data["attempt"], data["step"]) for data in reports] == [(1, 1), (1, 2), (2, 3)]
    assert list(frozen(spec)[0].intermediate_values.values()) == curve(**again.params, epochs=3)
    assert frozen(spec)[0].user_attrs["peak_memory"] == 1000


@pytest.mark.parametrize("restarted", [False, True])
def test_a_trial_that_is_lost_too_often_fails(
    spec: StudySpec, catalog: Catalog, restarted: bool
) -> None:
    study = open_study(spec, catalog)
    study.finish(asked(study), LOST)
    if restarted:
        study = open_study(spec, catalog)
    again = asked(study)
    assert again.attempt == 2
    study.finish(again, LOST)
    (row,) = rows(spec)
    assert (row.state, row.value, row.attempt) == ("fail", None, 2)
    assert row.reason == "lost 2 times, at last because: its worker was killed by signal 9"
    assert asked(study).number == 1


def test_a_single_attempt_fails_at_once(saving_spec: SavingSpec, catalog: Catalog) -> None:
    spec = saving_spec("scripted", "{trials: 1, max_attempts: 1}")
    study = open_study(spec, catalog)
    study.finish(asked(study), LOST)
    assert [(row.state, row.reason) for row in rows(spec)] == [("fail", LOST.reason)]
    assert study.ask() is None and study.done


def test_interruptions_and_pauses_are_no_losses(spec: StudySpec, catalog: Catalog) -> None:
    Scripted.pauses = {0: 1}
    for _ in range(5):
        study = open_study(spec, catalog)
        asked(study)
        study.commit()
    study = open_study(spec, catalog)
    study.finish(asked(study), LOST)
    assert states(spec) == ["paused"] and asked(study).attempt == 7


def test_lost_attempts_do_not_count_as_trials(spec: StudySpec, catalog: Catalog) -> None:
    study = open_study(spec, catalog)
    for number in range(4):
        trial = asked(study)
        assert trial.number == number
        study.finish(trial, LOST)
        run(study, catalog, asked(study))
    assert study.ask() is None and study.done
    assert states(spec) == ["complete"] * 4 and [row.attempt for row in rows(spec)] == [2] * 4


def test_what_was_put_back_comes_first_and_in_its_order(spec: StudySpec, catalog: Catalog) -> None:
    study = open_study(spec, catalog)
    first, second = asked(study), asked(study)
    study.finish(second, LOST)
    study.finish(first, LOST)
    assert [asked(study).number for _ in range(3)] == [1, 0, 2]


@pytest.mark.parametrize(
    ("decided", "state", "reason"),
    [("stops", "pruned", "enough"), ("pauses", "paused", "later")],
)
def test_what_was_decided_counts_when_the_worker_dies_of_it(
    spec: StudySpec, catalog: Catalog, decided: str, state: str, reason: str
) -> None:
    setattr(Scripted, decided, {0: 1})
    study = open_study(spec, catalog)
    trial = asked(study)
    assert study.report(trial, Report(1, {"loss": 2.0})).reason == reason
    study.finish(trial, LOST)
    assert states(spec) == [state] and study.requeued == 0
    assert stored(spec)[-1].data["reason"] == reason
    assert asked(study).number == 1


def test_a_metric_that_was_not_finite_is_not_tried_again(spec: StudySpec, catalog: Catalog) -> None:
    study = open_study(spec, catalog)
    trial = asked(study)
    study.report(trial, Report(1, {"loss": float("nan")}))
    study.finish(trial, LOST)
    assert [(row.state, row.reason) for row in rows(spec)] == [("fail", "loss is nan at step 1")]


# ---- repeated steps ----


def test_repeated_steps_are_recorded_and_not_judged(spec: StudySpec, catalog: Catalog) -> None:
    study = open_study(spec, catalog)
    trial = asked(study)
    study.report(trial, Report(1, {"loss": 5.0}))
    study.report(trial, Report(2, {"loss": 4.0}))
    study.finish(trial, LOST)
    Scripted.stops = {0: 1}  # nobody asks about that step any more
    again = asked(study)
    assert not study.report(again, Report(1, {"loss": 6.0})).stop
    assert not study.report(again, Report(2, {"loss": 4.5})).stop
    assert not study.report(again, Report(3, {"loss": 5.5})).stop
    study.finish(again, Outcome(Ending.COMPLETED))
    scheduler = study._scheduler
    assert isinstance(scheduler, Scripted) and scheduler.seen == [(0, 1), (0, 2), (0, 3)]
    reports = [event.data for event in stored(spec) if event.kind == "report"]
    assert [data.get("repeated", False) for data in reports] == [False, False, True, True, False]
    (done,) = frozen(spec)
    assert done.intermediate_values == {1: 6.0, 2: 4.5, 3: 5.5}
    assert done.values == [4.5] and done.state is TrialState.COMPLETE  # of what is there, the best
    assert study.epochs == 3 == open_study(spec, catalog).epochs


# ---- out of memory ----


class OutOfMemoryError(RuntimeError):
    """As torch's, which the core cannot import."""


def wrapped(cause: Exception) -> Exception:
    """An error that was raised from another."""
    error = ValueError("the training failed")
    error.__cause__ = cause
    return error


def test_an_error_that_was_raised_from_itself_fails_its_trial(
    saving_spec: SavingSpec, run: RunStudy, offer: Offer
) -> None:
    def circular(run: Run, *, x: float, y: float) -> float:
        error = ValueError("round and round")
        raise error from error

    offer("objectives", "circular", circular)
    spec = saving_spec("scripted", "{trials: 1}", **{"name: saving,": "name: circular,"})
    with pytest.raises(NoSuccessError):
        run(spec)
    assert [row.reason for row in rows(spec)] == ["ValueError: round and round"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA error: out of memory"),
        wrapped(OutOfMemoryError("CUDA out of memory")),
    ],
)
def test_out_of_memory_is_a_lost_attempt(
    saving_spec: SavingSpec, run: RunStudy, offer: Offer, catalog: Catalog, error: Exception
) -> None:
    def greedy(run: Run, *, x: float, y: float) -> float:
        if run.trial.number == 1 or (run.trial.number == 0 and not run.trial.out_of_memory):
            raise error
        return x

    offer("objectives", "greedy", greedy)
    spec = saving_spec(
        "scripted", "{trials: 3, max_attempts: 2}", **{"name: saving,": "name: greedy,"}
    )
    told = run(spec)
    assert [(row.state, row.attempt) for row in rows(spec)] == [
        ("complete", 2),
        ("fail", 2),
        ("complete", 1),
    ]
    lost = [event for event in told if event.kind == "trial_lost"]
    assert [event.trial for event in lost] == [0, 1]
    said = f"out of memory: {type(error).__name__}"
    assert all(event.data["reason"].startswith(said) for event in lost)
    assert all(event.data["out_of_memory"] for event in lost)
    assert rows(spec)[1].reason.startswith(f"lost 2 times, at last because: {said}")
    failed = next(each for each in told if each.kind == "trial_finished" and each.trial == 1)
    assert failed.data["out_of_memory"]
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None and replay(engine, record, catalog).differences == []


@pytest.mark.parametrize("restarted", [False, True])
def test_attempts_that_were_lost_for_memory_are_counted(
    saving_spec: SavingSpec, catalog: Catalog, restarted: bool
) -> None:
    spec = saving_spec("scripted", "{trials: 1, max_attempts: 4}")
    short = replace(LOST, out_of_memory=True, peak_gpu_memory=5, gpu_utilization=40.06)
    study, seen = open_study(spec, catalog), []
    for outcome in (LOST, short, Outcome(Ending.INTERRUPTED), short):
        trial = asked(study)
        seen.append(trial)
        study.finish(trial, outcome)
        if restarted:
            study = open_study(spec, catalog)
    last = asked(study)
    assert [trial.out_of_memory for trial in [*seen, last]] == [0, 0, 1, 1, 2]
    assert {str(trial.params) for trial in [*seen, last]} == {str(last.params)}
    assert Trial.from_json(last.to_json()) == last
    run(study, catalog, last)
    told = [event.data for event in stored(spec) if event.kind == "trial_lost"]
    assert [data.get("out_of_memory") for data in told] == [None, True, True]
    assert [data.get("peak_gpu_memory") for data in told] == [None, 5, 5]
    assert [data.get("gpu_utilization") for data in told] == [None, 40.1, 40.1]
    assert frozen(spec)[0].user_attrs["peak_gpu_memory"] == 5


def test_what_was_decided_is_no_loss_of_memory(spec: StudySpec, catalog: Catalog) -> None:
    Scripted.pauses = {0: 1}
    study = open_study(spec, catalog)
    trial = asked(study)
    study.report(trial, Report(1, {"loss": 2.0}))
    study.finish(trial, replace(LOST, out_of_memory=True, peak_gpu_memory=5))
    paused = stored(spec)[-1]
    assert (paused.kind, paused.data["peak_gpu_memory"]) == ("trial_paused", 5)
    assert "out_of_memory" not in paused.data


def test_checkpoints_of_late_reports_are_left_for_the_sweep(
    spec: StudySpec, catalog: Catalog, tmp_path: Path
) -> None:
    study = open_study(spec, catalog)
    old = asked(study)
    study.finish(old, LOST)
    asked(study)
    study.report(old, Report(1, {"loss": 1.0}, checkpoint=Checkpoint(1, str(tmp_path), "0")))
    assert study.needed() == {}
    drive(study, catalog)
