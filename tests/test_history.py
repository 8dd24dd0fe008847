"""History: live and told again it is the same, and it adds up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from driving import Killed, Mortal, clone, open_study
from stored import stored

from hpo_core import Checkpoint, Event, Report
from hpo_core.catalog import Catalog
from hpo_core.history import History, Standing
from hpo_core.spec import StudySpec

SavingSpec = Callable[..., StudySpec]


def score(report: Report) -> float:
    """Of a loss."""
    return -report.metrics["loss"]


def told(*events: tuple[str, dict[str, Any]]) -> History:
    """The history of what happened to trial 0."""
    made = History(score)
    for seq, (kind, data) in enumerate(events):
        made.apply(Event(seq, kind, float(seq), 0, data))
    return made


def report(step: int, loss: float, saved: bool = False, **data: Any) -> tuple[str, dict[str, Any]]:
    """A report's event."""
    checkpoint = Checkpoint(step, f"c{step}-{loss}", "0").to_json() if saved else None
    said = {"step": step, "metrics": {"loss": loss}, "seconds": 1.0, "checkpoint": checkpoint}
    return "report", said | {"decision": "continue", "reason": "", "by": "scheduler"} | data


def start(attempt: int, **data: Any) -> tuple[str, dict[str, Any]]:
    """A start's event."""
    return "trial_started", {"attempt": attempt} | data


def test_a_continued_history_is_the_live_one(saving_spec: SavingSpec, catalog: Catalog) -> None:
    spec = saving_spec("{name: promoting, best: 2}", "{trials: 3}")
    for _ in range(40):
        study = open_study(spec, catalog)
        again = History(study._record.score)
        for event in stored(spec):
            again.apply(event)
        live = study._history
        assert again.trials == live.trials and again.requeued == live.requeued
        for name in ("running", "finished", "epochs"):
            assert getattr(again, name) == getattr(live, name)
        assert again.unfinished.keys() == live.unfinished.keys()
        try:
            Mortal(study, 3, durable=True).drive(catalog)
            break
        except Killed:
            pass
        reopened = open_study(spec, catalog)._history
        assert reopened.trials == study._history.trials
    assert study.done


def test_a_repeated_step_counts_once_and_its_last_value_counts() -> None:
    known = told(
        start(1),
        report(1, 5.0, saved=True),
        report(2, 1.0, saved=True),
        ("trial_lost", {"peak_memory": 7}),
        start(2),
        report(1, 6.0),
        report(2, 4.0, saved=True),
    )
    progress = known.trials[0]
    assert (known.epochs, progress.step, progress.seconds) == (2, 2, 4.0)
    assert progress.best is not None and progress.best.metrics == {"loss": 4.0}
    assert progress.saved is not None and progress.saved.metrics == {"loss": 4.0}
    assert (progress.losses, progress.attempt, progress.peak_memory) == (1, 2, 7)
    assert [each.path for each in progress.checkpoints] == ["c2-4.0", "c2-1.0", "c1-5.0"]


def test_skipped_steps_are_epochs_all_the_same() -> None:
    assert told(start(1), report(5, 1.0), report(7, 1.0)).epochs == 7


def test_a_clone_counts_its_own_epochs() -> None:
    donor = Checkpoint(4, "c", "0").to_json()
    known = told(start(1, parent=9, parent_step=4, checkpoint=donor), report(5, 1.0))
    assert (known.epochs, known.trials[0].first, known.trials[0].step) == (1, 4, 5)
    assert clone(9).parent == known.trials[0].parent


def test_what_is_not_finite_is_never_the_best() -> None:
    known = told(start(1), report(1, 5.0), report(2, float("-inf"), by="metric", decision="stop"))
    progress = known.trials[0]
    assert progress.diverged and progress.best is not None and progress.best.step == 1
    assert known.epochs == 2


@pytest.mark.parametrize(
    ("kind", "standing", "requeued"),
    [
        ("trial_paused", Standing.PAUSED, []),
        ("trial_lost", Standing.REQUEUED, [0]),
        ("trial_interrupted", Standing.REQUEUED, [0]),
        ("trial_finished", Standing.FINISHED, []),
    ],
)
def test_how_an_attempt_ends(kind: str, standing: Standing, requeued: list[int]) -> None:
    known = told(start(1), (kind, {}))
    assert known.trials[0].standing is standing and list(known.requeued) == requeued
    assert not known.running and known.finished == (kind == "trial_finished")
    assert (0 in known.unfinished) == (kind != "trial_finished")


def test_what_was_put_back_may_be_closed_without_another_attempt() -> None:
    known = told(start(1), ("trial_lost", {}), ("trial_finished", {}))
    assert not known.requeued and not known.running and known.finished == 1


def test_a_trial_that_was_refused_is_finished_without_a_start() -> None:
    known = told(("trial_finished", {}))
    assert known.finished == 1 and not known.running and not known.unfinished


def test_what_changes_no_trial_changes_nothing() -> None:
    before = told(start(1), report(1, 1.0))
    after = told(start(1), report(1, 1.0), ("late", {"step": 9}), ("warning", {}), ("novel", {}))
    assert vars(before) | {"_latest": 0} == vars(after) | {"_latest": 0, "_score": score}


def test_time_does_not_count_while_no_driver_runs() -> None:
    history = History(lambda report: 0.0)
    history.apply(Event(0, "study_started", 100.0, None, {}))
    history.apply(Event(1, "study_stopped", 130.0, None, {}))
    history.rest()  # as whoever opens the study later does
    assert history.seconds(9000.0) == 30.0
    history.apply(Event(2, "study_started", 9000.0, None, {}))
    assert history.seconds(9005.0) == 35.0
