"""Budgets are totals: kept exactly, whatever runs at once, however often the study is restarted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from driving import Killed, Mortal, kills, open_study
from stored import RunStudy, rows, stored

from hpo_core import Ending, Outcome, Report, Run, Trial
from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.errors import UsageError
from hpo_core.history import History
from hpo_core.spec import StudySpec
from hpo_core.study import DrivenStudy
from hpo_core.trial import Event

SavingSpec = Callable[..., StudySpec]
ENOUGH = "the budget of 10 epochs is used"


def used(spec: StudySpec) -> int:
    """How many epochs were trained, counted from the events: steps of trials, each once."""
    reports = [event for event in stored(spec) if event.kind == "report"]
    return len({(event.trial, event.data["step"]) for event in reports})


def interleaved(study: DrivenStudy, workers: int, durable: bool = False) -> None:
    """Run trials side by side, an epoch of each in turn, to their ends."""
    running: list[tuple[Trial, int]] = []
    while True:
        while len(running) < workers and (trial := study.ask()) is not None:
            running.append((trial, trial.checkpoints[0].step if trial.checkpoints else 0))
        if not running:
            return
        trial, step = running.pop(0)
        decision = study.report(trial, Report(step + 1, {"loss": float(trial.number)}))
        if durable:
            study.commit()
        if decision.stop or step + 1 == trial.epochs:
            ending = Ending.STOPPED if decision.stop else Ending.COMPLETED
            study.finish(trial, Outcome(ending, decision.reason))
        else:
            running.append((trial, step + 1))


# ---- epochs ----


@pytest.mark.parametrize("epochs", range(1, 12))
@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_epochs_are_kept_exactly(
    saving_spec: SavingSpec, catalog: Catalog, workers: int, epochs: int
) -> None:
    spec = saving_spec("none", f"{{epochs: {epochs}}}", **{"name: saving,": "name: bowl,"})
    study = open_study(spec, catalog)
    interleaved(study, workers)
    assert study.done and study.over == f"the budget of {epochs} epochs is used"
    assert used(spec) == epochs == study.epochs
    for row in rows(spec):
        assert row.state == ("complete" if row.epochs == 3 else "pruned")
        assert row.epochs > 0 and row.value == float(row.number)


def test_the_budget_says_that_it_was_it(saving_spec: SavingSpec, run: RunStudy) -> None:
    spec = saving_spec("none", "{epochs: 10}")
    told = run(spec)
    assert [(row.state, row.epochs) for row in rows(spec)] == [("complete", 3)] * 3 + [
        ("pruned", 1)
    ]
    last = [event for event in told if event.kind == "report"][-1]
    assert (last.data["decision"], last.data["by"], last.data["reason"]) == (
        "stop",
        "budget",
        ENOUGH,
    )
    end = told[-1].data
    assert (end["epochs"], end["finished"], end["target"], end["reason"]) == (10, 4, None, ENOUGH)
    assert end["budget"] == {"trials": None, "epochs": 10, "hours": None, "max_attempts": 3}
    before = stored(spec)
    run(spec)
    assert stored(spec) == before


def test_epochs_are_kept_over_restarts_at_each_call(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    spec = saving_spec("{name: promoting, best: 9}", "{epochs: 7}")
    expected: list[tuple[str, int]] | None = None
    for cut in kills(spec, catalog, durable=True):
        assert used(cut) == 7, cut.study
        found = [(row.state, row.epochs) for row in rows(cut)]
        expected = expected or found
        assert found == expected, cut.study


@pytest.mark.parametrize("calls", [2, 3, 4])
def test_epochs_are_kept_over_many_restarts(
    saving_spec: SavingSpec, catalog: Catalog, calls: int
) -> None:
    spec = saving_spec("none", "{epochs: 8}")
    for _ in range(30):
        study = open_study(spec, catalog)
        try:
            Mortal(study, calls, durable=True).drive(catalog)
        except Killed:
            continue
        break
    assert study.done and used(spec) == 8 == study.epochs
    assert [row.epochs for row in rows(spec)] == [3, 3, 2]


def test_epochs_are_kept_when_three_at_once_are_cut_off(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    for cut in range(11):
        spec = replace(
            saving_spec("none", "{epochs: 11}", **{"name: saving,": "name: bowl,"}),
            study=f"cut-{cut}",
        )
        study = open_study(spec, catalog)
        left = [cut]
        report = study.report

        def dying(trial: Trial, said: Report, report=report, left=left):  # type: ignore[no-untyped-def]
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return report(trial, said)

        study.report = dying  # type: ignore[method-assign]
        with pytest.raises(Killed):
            interleaved(study, 3, durable=True)
        interleaved(open_study(spec, catalog), 3)
        assert used(spec) == 11


def test_more_epochs_in_the_file_continue(saving_spec: SavingSpec, run: RunStudy) -> None:
    run(saving_spec("none", "{epochs: 4}"))
    spec = saving_spec("none", "{epochs: 9}")
    run(spec)
    assert used(spec) == 9
    assert [row.epochs for row in rows(spec)] == [3, 1, 3, 2]  # what had ended stays as it was


# ---- trials ----


def test_more_adds_trials_alone(saving_spec: SavingSpec, run: RunStudy, catalog: Catalog) -> None:
    spec = saving_spec("none", "{trials: 2, epochs: 100}")
    run(spec)
    run(spec, more=1)
    assert len(rows(spec)) == 3
    with pytest.raises(UsageError, match="--more adds trials"):
        run(replace(saving_spec("none", "{epochs: 3}"), study="other"), more=1)


@pytest.mark.parametrize(
    ("budget", "trials", "reason"),
    [
        ("{trials: 2, epochs: 100, hours: 5}", 2, ""),
        ("{trials: 9, epochs: 5, hours: 5}", 2, "the budget of 5 epochs is used"),
        ("{trials: 2, epochs: 6}", 2, ""),
    ],
)
def test_whichever_comes_first(
    saving_spec: SavingSpec, run: RunStudy, budget: str, trials: int, reason: str
) -> None:
    spec = saving_spec("none", budget)
    told = run(spec)
    assert (told[-1].data["finished"], told[-1].data["reason"]) == (trials, reason)
    assert [event.kind for event in told].count("trial_started") == trials


# ---- hours ----


class Clock:
    """Stands still unless it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def hourly(clock: Clock) -> Callable[..., None]:
    """An objective whose epochs take an hour."""

    def objective(run: Run, *, x: float, y: float, epochs: int = 3) -> None:
        for epoch in range(1, epochs + 1):
            clock.now += 3600
            if run.report(epoch, {"loss": x}).stop:
                return

    return objective


@pytest.mark.parametrize(("hours", "epochs"), [("0.5", [1]), ("2", [2]), ("4.5", [3, 2])])
def test_hours_end_a_trial_at_its_next_report(
    saving_spec: SavingSpec,
    run: RunStudy,
    offer: Callable[..., None],
    clock: Clock,
    hours: str,
    epochs: list[int],
) -> None:
    offer("objectives", "hourly", hourly(clock))
    spec = saving_spec("none", f"{{hours: {hours}}}", **{"name: saving,": "name: hourly,"})
    told = run(spec)
    assert [row.epochs for row in rows(spec)] == epochs
    assert told[-1].data["reason"] == f"the budget of {hours} hours is used"
    before = stored(spec)
    run(spec)
    assert stored(spec) == before


def test_hours_are_those_of_all_sessions_and_not_those_between(
    saving_spec: SavingSpec, catalog: Catalog, clock: Clock
) -> None:
    spec = saving_spec("none", "{hours: 3.5}", **{"name: saving,": "name: bowl,"})
    for session in range(3):
        study = open_study(spec, catalog)
        study.record("study_started")
        trial = study.ask()
        assert trial is not None and trial.attempt == session + 1
        clock.now += 3600
        assert not study.report(trial, Report(session + 1, {"loss": 1.0})).stop
        study.commit()  # and it dies
        clock.now += 100 * 3600
    study = open_study(spec, catalog)
    study.record("study_started")
    trial = study.ask()
    assert trial is not None
    clock.now += 1799
    assert trial.epochs == 3  # the last step ends by itself
    study.finish(trial, Outcome(Ending.COMPLETED))
    assert study.ask() is not None
    clock.now += 2
    assert study.ask() is None


def test_what_is_put_back_when_the_hours_are_used_is_closed(
    saving_spec: SavingSpec, catalog: Catalog, clock: Clock
) -> None:
    spec = saving_spec("none", "{hours: 1}", **{"name: saving,": "name: bowl,"})
    study = open_study(spec, catalog)
    study.record("study_started")
    trial = study.ask()
    assert trial is not None
    study.report(trial, Report(1, {"loss": 1.5}))
    clock.now += 3601
    study.commit()
    study.record("warning", reason="the last sign of life")
    again = open_study(spec, catalog)
    assert again.ask() is None and again.done
    (row,) = rows(spec)
    assert (row.state, row.value) == ("pruned", 1.5)
    assert row.reason == "requeued after epoch 1: the budget of 1 hours is used"


# ---- the rule itself ----


def history(*events: tuple[str, int | None, dict[str, object]]) -> History:
    """The history of some events, a second apart."""
    made = History(lambda report: -report.metrics["loss"])
    for seq, (kind, trial, data) in enumerate(events):
        made.apply(Event(seq, kind, float(seq), trial, dict(data)))
    return made


def test_an_epoch_is_granted_only_if_all_that_run_may_end_theirs() -> None:
    budget = Budget(epochs=3)
    report = {"step": 1, "metrics": {"loss": 1.0}, "seconds": 0.0, "decision": "continue"}
    known = history(
        ("trial_started", 0, {"attempt": 1}), ("report", 0, report | {"reason": "", "by": "x"})
    )
    assert known.epochs == 1
    assert [budget.spent(known, 0.0, others) is None for others in range(4)] == [
        True,
        True,
        False,
        False,
    ]


def test_without_limits_there_is_always_room() -> None:
    known = history(("trial_started", 0, {"attempt": 1}))
    assert Budget().spent(known, 1e12, 99) is None and Budget().room(known)
    assert not Budget(trials=1).room(known) and Budget(trials=2).room(known)


def test_seconds_are_counted_from_start_to_last_event_of_each_session() -> None:
    known = history(
        ("study_started", None, {}),  # at 0
        ("warning", None, {}),
        ("warning", None, {}),  # at 2, and killed
        ("study_started", None, {}),  # at 3
    )
    assert known.seconds(3.0) == 2.0 and known.seconds(10.0) == 9.0
    assert known.seconds(0.0) == 2.0  # a clock that was set back takes nothing away
    assert history().seconds(99.0) == 0.0


@pytest.mark.parametrize("epochs", [3, 6])
def test_a_trial_that_was_cut_off_after_its_last_epoch_is_complete(
    saving_spec: SavingSpec, catalog: Catalog, epochs: int
) -> None:
    spec = saving_spec("none", f"{{epochs: {epochs}}}")
    for cut in kills(spec, catalog, durable=True):
        found = [(row.state, row.epochs, row.reason) for row in rows(cut)]
        assert found == [("complete", 3, "")] * (epochs // 3), cut.study
