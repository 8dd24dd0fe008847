"""Trials that pause and resume: by hand, through the runner, and when there is nothing left to wait for."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from driving import Scripted, curve, drive, frozen, on_disk, open_study
from optuna.trial import TrialState
from stored import Offer, RunStudy, rows, states, stored

from hpo_core import Ending, Outcome, Report, Resume, Start, Trial, Wait
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError
from hpo_core.execution import execute
from hpo_core.sampling import SamplerContext, SpaceExhausted
from hpo_core.spec import StudySpec
from hpo_core.study import DrivenStudy

SavingSpec = Callable[..., StudySpec]


def attempt(study: DrivenStudy, catalog: Catalog, trial: Trial | None) -> Outcome:
    """Run an attempt to its end, and say so."""
    assert trial is not None
    outcome = execute(trial, catalog, lambda report: study.report(trial, report))
    study.finish(trial, outcome)
    return outcome


def test_a_paused_trial_waits_with_its_checkpoint(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    spec = saving_spec("{name: promoting}")
    study = open_study(spec, catalog)
    outcome = attempt(study, catalog, study.ask())
    assert outcome == Outcome(Ending.PAUSED, "rung 1")
    assert (study.paused, study.requeued, study.finished) == (1, 0, 0)
    (trial,) = frozen(spec)
    assert trial.state is TrialState.WAITING and list(trial.intermediate_values) == [1]
    (row,) = rows(spec)
    assert (row.state, row.value, row.epochs, row.attempt) == ("paused", None, 1, 1)
    assert on_disk(spec) == {"0/1/1"}
    last = stored(spec)[-1]
    assert (last.kind, last.trial) == ("trial_paused", 0)
    assert last.data == {"attempt": 1, "steps": 1, "reason": "rung 1"}
    assert not study.done


def test_a_resumed_trial_goes_on_where_it_was(saving_spec: SavingSpec, catalog: Catalog) -> None:
    spec = saving_spec("{name: promoting, best: 1}", "{trials: 1}")
    study = open_study(spec, catalog)
    first = study.ask()
    attempt(study, catalog, first)
    second = study.ask()
    assert first is not None and second is not None
    assert (second.number, second.attempt) == (0, 2)
    assert (second.params, second.seed, second.config) == (first.params, first.seed, first.config)
    assert [each.step for each in second.checkpoints] == [1] and second.checkpoints[0].path
    assert frozen(spec)[0].state is TrialState.WAITING  # until the next commit
    attempt(study, catalog, second)
    reports = [event for event in stored(spec) if event.kind == "report"]
    assert [(each.data["attempt"], each.data["step"]) for each in reports] == [
        (1, 1),
        (2, 2),
        (2, 3),
    ]
    expected = curve(**first.params, epochs=3)
    assert list(frozen(spec)[0].intermediate_values.values()) == expected
    assert frozen(spec)[0].values == [min(expected)]
    assert (
        study.ask() is None
        and study.done
        and study.over == "the trial scheduler has nothing left to run"
    )


def test_through_the_runner(saving_spec: SavingSpec, run: RunStudy) -> None:
    spec = saving_spec("{name: promoting, best: 2}")
    told = run(spec)
    assert states(spec).count("complete") == 2 and states(spec).count("pruned") == 4
    after_one = {row.number: curve(**row.params, epochs=1)[0] for row in rows(spec)}
    promoted = sorted(after_one, key=lambda number: after_one[number])[:2]
    for row in rows(spec):
        best = row.number in promoted
        assert row.state == ("complete" if best else "pruned")
        assert (row.epochs, row.attempt) == ((3, 2) if best else (1, 1))
        assert row.value == min(curve(**row.params, epochs=row.epochs))
        assert row.reason == (
            "" if best else "paused after epoch 1: the trial scheduler has nothing left to run"
        )
    origins = [
        (event.trial, event.data["origin"], event.data.get("reason"))
        for event in told
        if event.kind == "trial_started"
    ]
    assert origins == [
        *((number, "new", None) for number in range(6)),
        (promoted[0], "resumed", "best of 6"),
        (promoted[1], "resumed", "best of 5"),
    ]
    assert told[-1].data["finished"] == 6 and told[-1].data["epochs"] == 10
    assert told == stored(spec)


def test_more_trials_later_compete_with_those_that_are_left(
    saving_spec: SavingSpec, run: RunStudy
) -> None:
    """A study that is over has closed what was paused: `--more` starts new ones alone."""
    spec = saving_spec("{name: promoting, best: 1}", "{trials: 3}")
    run(spec)
    before = rows(spec)
    run(spec, more=2)
    assert rows(spec)[:3] == before and len(rows(spec)) == 5


def test_the_scheduler_waits_while_others_run(saving_spec: SavingSpec, catalog: Catalog) -> None:
    spec = saving_spec("{name: promoting, best: 1}", "{trials: 2}")
    study = open_study(spec, catalog)
    first, second = study.ask(), study.ask()
    attempt(study, catalog, first)
    assert study.ask() is None and not study.done  # the second one may be better
    attempt(study, catalog, second)
    resumed = study.ask()
    assert resumed is not None and resumed.attempt == 2
    assert study.ask() is None and not study.done
    attempt(study, catalog, resumed)
    assert study.ask() is None and study.done
    assert sorted(states(spec)) == ["complete", "pruned"]


def test_what_is_paused_is_closed_with_its_best_value_when_nothing_runs(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    Scripted.pauses = {0: 2}
    Scripted.answers = [Start(), Wait()]
    spec = saving_spec("scripted")
    study = open_study(spec, catalog)
    trial = study.ask()
    assert trial is not None
    study.report(trial, Report(1, {"loss": 1.0}))
    assert study.report(trial, Report(2, {"loss": 3.0})).stop
    study.finish(trial, Outcome(Ending.PAUSED, "later"))
    assert study.ask() is None and study.done
    (closed,) = frozen(spec)
    assert closed.state is TrialState.PRUNED and closed.values == [1.0]
    assert closed.user_attrs["best_step"] == 1
    assert (
        closed.user_attrs["reason"]
        == "paused after epoch 2: the trial scheduler has nothing left to run"
    )
    assert study.ask() is None  # and it stays over, whatever the trial scheduler says now


def test_a_worker_that_calls_its_pause_an_end_is_paused_all_the_same(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    spec = saving_spec("{name: promoting}")
    for number, ending in enumerate(Ending):
        study = open_study(spec, catalog)
        trial = study.ask()
        assert trial is not None and trial.number == number
        study.report(trial, Report(1, {"loss": 1.0}))
        study.finish(trial, Outcome(ending, "whatever"))
        assert states(spec)[number] == "paused" and study.requeued == 0
        assert stored(spec)[-1].data["reason"] == "rung 1"


@pytest.mark.parametrize(
    "answer",
    [Resume(0, "running"), Resume(1, "finished"), Resume(2, "unknown"), Resume(-1, "unknown")],
)
def test_only_what_is_paused_can_be_resumed(
    saving_spec: SavingSpec, catalog: Catalog, answer: Resume
) -> None:
    spec = saving_spec("scripted")
    study = open_study(spec, catalog)
    study.ask()
    finished = study.ask()
    assert finished is not None
    study.finish(finished, Outcome(Ending.FAILED, "x"))
    before = stored(spec)
    Scripted.answers = [answer]
    with pytest.raises(HpoError, match=r"trial scheduler 'scripted' asked for.*Resume"):
        study.ask()
    study.commit()
    assert stored(spec) == before


def test_a_trial_scheduler_that_starts_without_room_is_told(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    spec = saving_spec("scripted", "{trials: 1}")
    study = open_study(spec, catalog)
    assert study.ask() is not None
    Scripted.answers = [Start()]
    with pytest.raises(HpoError, match=r"asked for what cannot be: Start"):
        study.ask()


def test_an_interrupted_study_keeps_paused_and_interrupted_trials_apart(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    spec = saving_spec("{name: promoting, best: 1}", "{trials: 3}")
    study = open_study(spec, catalog)
    attempt(study, catalog, study.ask())
    running = study.ask()
    assert running is not None
    study.drain("interrupted by SIGINT")
    study.release()
    assert states(spec) == ["paused", "paused"]
    continued = open_study(spec, catalog)
    assert (continued.paused, continued.requeued) == (1, 1)
    again = continued.ask()
    assert again is not None and (again.number, again.attempt) == (1, 2)
    attempt(continued, catalog, again)
    drive(continued, catalog)
    assert continued.done and len(rows(spec)) == 3


def test_paused_trials_go_on_when_the_space_is_exhausted(
    saving_spec: SavingSpec, offer: Offer, run: RunStudy
) -> None:
    def three(context: SamplerContext) -> optuna.samplers.BaseSampler:
        if context.number >= 3:
            raise SpaceExhausted("all 3 points have been tried")
        return optuna.samplers.RandomSampler(seed=context.seed)

    offer("samplers", "three", three)
    spec = saving_spec("{name: promoting, best: 1}", "{trials: 9}", "three")
    told = run(spec)
    assert sorted(states(spec)) == ["complete", "pruned", "pruned"]
    assert told[-1].data["reason"] == "all 3 points have been tried"
