"""The study: proposals, reports, endings, and above all that a continued study equals an uninterrupted one."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from driving import drive, frozen, open_study
from optuna.trial import TrialState
from stored import MakeSpec, stored

from hpo_core import Checkpoint, Ending, Event, Outcome, Report
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError


def test_optuna_reads_what_the_study_wrote(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=8, bound=20.0)
    study = open_study(spec, catalog)
    proposed = drive(study, catalog)
    trials = frozen(spec)
    assert [trial.params for trial in trials] == proposed
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in trials:
        assert trial.values == [min(trial.intermediate_values.values())]
        assert trial.user_attrs["attempt"] == 1
        assert trial.user_attrs["steps"] == len(trial.intermediate_values)
        assert trial.datetime_start is not None and trial.datetime_complete is not None
        assert trial.datetime_start <= trial.datetime_complete
        expected = (trial.params["x"] - 1) ** 2 + trial.params["y"] ** 2 + 1
        assert trial.intermediate_values[1] == pytest.approx(expected)
        if trial.state is TrialState.PRUNED:
            assert trial.user_attrs["reason"].endswith("is above 20.0")


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("cut", [0, 1, 4, 7])
def test_a_cut_study_proposes_what_an_uncut_one_does(
    make_spec: MakeSpec, catalog: Catalog, sampler: str, cut: int
) -> None:
    whole = make_spec(
        trials=8, sampler=sampler, bound=60.0, bowl="whole", **{"name: whole": "name: bowl"}
    )
    expected = drive(open_study(whole, catalog), catalog)
    spec = make_spec(trials=8, sampler=sampler, bound=60.0)
    first = open_study(spec, catalog)
    drive(first, catalog, limit=cut)
    lost = first.ask()  # and its process dies in the middle of this trial
    assert lost is not None
    loss = (lost.params["x"] - 1) ** 2 + lost.params["y"] ** 2 + 1
    decision = first.report(lost, Report(1, {"loss": loss, "other": -loss}))
    first.commit()
    second = open_study(spec, catalog)
    assert second.requeued == 1
    drive(second, catalog)
    trials, uncut = frozen(spec), frozen(whole)
    assert [trial.params for trial in trials] == expected
    assert [trial.state for trial in trials] == [trial.state for trial in uncut]
    assert [trial.values for trial in trials] == [trial.values for trial in uncut]
    assert [trial.intermediate_values for trial in trials] == [
        trial.intermediate_values for trial in uncut
    ]
    assert trials[cut].user_attrs["attempt"] == (1 if decision.stop else 2)  # it had ended


def test_what_was_not_committed_is_proposed_again(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec()
    first = open_study(spec, catalog)
    lost = first.ask()
    assert lost is not None
    again = open_study(spec, catalog).ask()
    assert again == lost


def test_replay_rebuilds_the_trial_scheduler(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=5, bound=30.0)
    first = open_study(spec, catalog)
    drive(first, catalog)
    second = open_study(spec, catalog)
    assert second._scheduler.seen == first._scheduler.seen  # type: ignore[attr-defined]
    assert len(first._scheduler.seen) > 5  # type: ignore[attr-defined]


def test_a_step_is_told_once_however_often_it_is_repeated(
    make_spec: MakeSpec, catalog: Catalog
) -> None:
    spec = make_spec(trials=1)
    first = open_study(spec, catalog)
    lost = first.ask()
    assert lost is not None
    first.report(lost, Report(1, {"loss": 5.0}))
    first.commit()
    second = open_study(spec, catalog)
    again = second.ask()
    assert again is not None and again.attempt == 2
    second.report(again, Report(1, {"loss": 5.0}))
    second.report(again, Report(2, {"loss": 4.0}))
    second.finish(again, Outcome(Ending.COMPLETED))
    for study in (second, open_study(spec, catalog)):
        seen = study._scheduler.seen  # type: ignore[attr-defined]
        assert seen == [(0, 1, -5.0), (0, 2, -4.0), (0, -1, 0.0)]
    assert frozen(spec)[0].intermediate_values == {1: 5.0, 2: 4.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["loss", "other"])
def test_a_metric_that_is_not_finite_fails_its_trial_at_once(
    make_spec: MakeSpec, catalog: Catalog, bad: float, name: str
) -> None:
    spec = make_spec(trials=2)
    study = open_study(spec, catalog)
    trial = study.ask()
    assert trial is not None
    assert not study.report(trial, Report(1, {"loss": -1e9, "other": 0.0})).stop
    decision = study.report(trial, Report(2, {"loss": 0.0, "other": 0.0, name: bad}))
    assert decision.stop
    assert decision.reason == f"{name} is {bad} at step 2"
    study.finish(trial, Outcome(Ending.COMPLETED))  # whatever the worker says
    assert [t.state for t in frozen(spec)] == [TrialState.FAIL]
    assert frozen(spec)[0].user_attrs["reason"] == decision.reason
    assert study.best() is None
    drive(study, catalog)
    best = study.best()
    assert best is not None and best.number == 1
    assert study.done


def test_the_best_epoch_counts_not_the_last(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=1)
    study = open_study(spec, catalog)
    trial = study.ask()
    assert trial is not None
    for step, loss in enumerate([3.0, 1.0, 2.0], start=1):
        saved = Checkpoint(step, f"c{step}", "0" * 64)
        study.report(trial, Report(step, {"loss": loss, "other": loss * 10}, 0.5, saved))
    study.finish(trial, Outcome(Ending.COMPLETED))
    trial_now = frozen(spec)[0]
    assert trial_now.value == 1.0
    assert trial_now.user_attrs["best_step"] == 2
    assert trial_now.user_attrs["checkpoint"] == "c2"
    assert trial_now.user_attrs["other"] == 10.0


def test_a_failed_trial_has_no_value_and_counts(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=1)
    study = open_study(spec, catalog)
    trial = study.ask()
    assert trial is not None
    study.report(trial, Report(1, {"loss": 1.0}))
    study.finish(trial, Outcome(Ending.FAILED, "ValueError: no"))
    assert study.done and study.best() is None and study.ask() is None
    trial_now = frozen(spec)[0]
    assert trial_now.state is TrialState.FAIL and trial_now.values is None
    assert study.counts() == {"complete": 0, "pruned": 0, "failed": 1}


def test_draining_stops_trials_and_puts_them_back(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=3)
    events: list[Event] = []
    study = open_study(spec, catalog, events)
    trial = study.ask()
    other = study.ask()
    assert trial is not None and other is not None
    study.drain("interrupted by SIGINT")
    assert study.ask() is None
    decision = study.report(trial, Report(1, {"loss": 1.0}))
    assert decision.stop and decision.reason == "interrupted by SIGINT"
    study.finish(trial, Outcome(Ending.STOPPED, decision.reason))
    study.release()
    assert [t.state for t in frozen(spec)] == [TrialState.WAITING, TrialState.WAITING]
    assert [e.kind for e in events if e.kind == "trial_interrupted"] == ["trial_interrupted"] * 2
    continued = open_study(spec, catalog)
    again = continued.ask()
    assert again is not None
    assert (again.number, again.attempt, again.params) == (trial.number, 2, trial.params)
    assert (again.config, again.seed) == (trial.config, trial.seed)
    study2 = continued
    study2.finish(again, Outcome(Ending.FAILED, "x"))
    drive(study2, catalog)
    assert len(frozen(spec)) == 3


def test_a_trial_that_finishes_while_draining_is_finished(
    make_spec: MakeSpec, catalog: Catalog
) -> None:
    spec = make_spec(trials=3)
    study = open_study(spec, catalog)
    trial = study.ask()
    assert trial is not None
    study.drain("interrupted by SIGINT")
    study.report(trial, Report(1, {"loss": 1.0}))
    study.finish(trial, Outcome(Ending.COMPLETED))
    assert frozen(spec)[0].state is TrialState.COMPLETE


def test_never_more_trials_than_the_target(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=3)
    study = open_study(spec, catalog)
    running = [study.ask() for _ in range(5)]
    assert [trial is not None for trial in running] == [True, True, True, False, False]
    assert running[0] is not None
    study.finish(running[0], Outcome(Ending.FAILED, "x"))
    assert study.ask() is None


def test_events_are_told_after_they_are_stored(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=2)
    told: list[Event] = []
    drive(open_study(spec, catalog, told), catalog)
    drive(open_study(make_spec(trials=4), catalog, told), catalog)
    assert stored(spec) == told
    assert [event.seq for event in told] == list(range(len(told)))


def test_user_attributes_and_params_survive_quotes(
    make_spec: MakeSpec, catalog: Catalog, tmp_path: Path
) -> None:
    spec = make_spec(trials=1)
    study = open_study(spec, catalog)
    trial = study.ask()
    assert trial is not None
    reason = "a 'quoted' \"reason\" 100% \N{SNOWMAN}; DROP TABLE trials; --"
    study.finish(trial, Outcome(Ending.FAILED, reason))
    assert frozen(spec)[0].user_attrs["reason"] == reason


def test_a_sampler_that_raises_leaves_nothing_behind(
    make_spec: MakeSpec, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(trials=2)
    study = open_study(spec, catalog)
    expected = study.ask()
    assert expected is not None
    study.finish(expected, Outcome(Ending.FAILED, "x"))

    def fail(*_: object) -> float:
        raise ZeroDivisionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(optuna.samplers.RandomSampler, "sample_independent", fail)
        with pytest.raises(HpoError, match="sampler 'random' could not propose trial 1: ZeroDiv"):
            study.ask()
    study.release()
    assert len(frozen(spec)) == 1
    again = open_study(spec, catalog).ask()
    assert again is not None and again.number == 1


def test_an_enqueued_trial_outside_the_space_fails(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=2, **{"y: {float: [-3, 3]}": "y: {choice: [0.0, 1.0]}"})
    open_study(spec, catalog).commit()
    optuna.load_study(study_name=spec.study, storage=spec.storage).enqueue_trial({"y": 7.0})
    study = open_study(spec, catalog)
    with pytest.raises(HpoError, match="could not propose trial"):
        study.ask()
    study.release()
    assert [trial.state for trial in frozen(spec)] == [TrialState.FAIL]
    continued = open_study(spec, catalog)
    drive(continued, catalog)
    assert continued.done and len(frozen(spec)) == 2
