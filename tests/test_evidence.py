"""What samplers are shown: paused trials, trials at a fidelity, ranges of now; and the same after a restart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from driving import Promoting, Scripted, drive, open_study
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from stored import Offer, RunStudy, rows

from hpo_core import Ending, Outcome, Report, Resume, Trial
from hpo_core.catalog import Catalog
from hpo_core.evidence import Evidence
from hpo_core.history import Progress, Standing
from hpo_core.sampling import SamplerContext
from hpo_core.spec import StudySpec
from hpo_core.study import DrivenStudy

SavingSpec = Callable[..., StudySpec]
View = list[tuple[int, str, list[float] | None]]


class Looking(optuna.samplers.TPESampler):
    """A TPE that writes down what it sees, and what it takes for the space."""

    seen: list[View] = []  # noqa: RUF012  # emptied by the fixture
    spaces: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, context: SamplerContext) -> None:
        super().__init__(seed=context.seed, n_startup_trials=1, multivariate=True)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        space = super().infer_relative_search_space(study, trial)
        shown = study.get_trials(deepcopy=False)
        self.seen.append([(each.number, each.state.name, each.values) for each in shown])
        self.spaces.append(space)
        return space


@pytest.fixture(autouse=True)
def _looking(offer: Offer) -> None:
    Looking.seen, Looking.spaces = [], []
    offer("samplers", "looking", Looking)


def asked(study: DrivenStudy) -> Trial:
    """A trial that must be there."""
    trial = study.ask()
    assert trial is not None
    return trial


def end(study: DrivenStudy, trial: Trial, ending: Ending, *losses: float, first: int = 1) -> None:
    """Report losses, then end."""
    for step, loss in enumerate(losses, start=first):
        study.report(trial, Report(step, {"loss": loss}))
    study.finish(trial, Outcome(ending, "x"))


def test_without_a_fidelity_everything_is_shown_and_paused_is_pruned(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    Scripted.pauses = {1: 2}
    Scripted.stops = {2: 1}
    study = open_study(saving_spec("scripted", "{trials: 9}", "looking"), catalog)
    end(study, asked(study), Ending.COMPLETED, 5.0, 4.0, 6.0)
    end(study, asked(study), Ending.PAUSED, 1.0, 3.0)
    end(study, asked(study), Ending.STOPPED, 7.0)
    end(study, asked(study), Ending.FAILED, 8.0)
    end(study, asked(study), Ending.COMPLETED, math.nan)
    running = asked(study)
    study.report(running, Report(1, {"loss": 2.0}))
    asked(study)
    assert Looking.seen[-1] == [
        (0, "COMPLETE", [4.0]),
        (1, "PRUNED", [1.0]),
        (2, "PRUNED", [7.0]),
        (3, "FAIL", None),
        (4, "FAIL", None),
        (5, "RUNNING", None),
    ]


def test_with_a_fidelity_a_trial_counts_as_it_stood_then(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    study = open_study(
        saving_spec("{name: promoting, fidelity: 2}", "{trials: 9}", "looking"), catalog
    )
    scheduler: Any = study._scheduler
    scheduler.on_report = lambda *_: Scripted.on_report(Scripted(None), *_)  # type: ignore[arg-type]
    Scripted.pauses = {1: 1, 2: 2}
    end(study, asked(study), Ending.COMPLETED, 5.0, 4.0, 1.0)
    end(study, asked(study), Ending.PAUSED, 1.0)  # has not got there
    end(study, asked(study), Ending.PAUSED, 1.0, 3.0)
    end(study, asked(study), Ending.FAILED, 8.0, 8.0)
    end(study, asked(study), Ending.COMPLETED, 8.0, math.nan)
    before, after = asked(study), asked(study)
    study.report(before, Report(1, {"loss": 2.0}))
    study.report(after, Report(1, {"loss": 2.0}))
    study.report(after, Report(2, {"loss": 2.5}))
    asked(study)
    assert Looking.seen[-1] == [
        (0, "COMPLETE", [4.0]),
        (2, "COMPLETE", [3.0]),
        (6, "COMPLETE", [2.5]),
        (5, "RUNNING", None),
    ]


def test_what_is_learned_from_is_counted(saving_spec: SavingSpec, catalog: Catalog) -> None:
    Scripted.pauses = {0: 1}
    events: list[Any] = []
    study = open_study(saving_spec("scripted", "{trials: 9}", "looking"), catalog, events)
    end(study, asked(study), Ending.PAUSED, 1.0)
    end(study, asked(study), Ending.FAILED, 1.0)
    end(study, asked(study), Ending.COMPLETED, 1.0)
    Scripted.answers = [Resume(0, "again")]
    resumed = asked(study)
    asked(study)  # one is complete, one runs again
    end(study, resumed, Ending.COMPLETED, 2.0, first=2)
    asked(study)
    study.commit()
    counted = [
        event.data["learned_from"]
        for event in events
        if event.kind == "trial_started" and event.data["origin"] == "new"
    ]
    assert counted == [0, 1, 1, 1, 2]


@pytest.mark.parametrize("fidelity", ["null", "1", "2"])
def test_a_restart_shows_the_same(saving_spec: SavingSpec, catalog: Catalog, fidelity: str) -> None:
    spec = saving_spec(
        f"{{name: promoting, best: 2, fidelity: {fidelity}}}", "{trials: 5}", "looking"
    )
    drive(open_study(spec, catalog), catalog)
    more = StudySpec(**{**vars(spec), "budget": type(spec.budget)(trials=8)})
    for _ in range(2):
        asked(open_study(more, catalog))  # and it is not stored
    first, second = Looking.seen[-2:]
    assert first == second and len(first) == (2 if fidelity == "2" else 5)
    live = open_study(more, catalog)
    drive(live, catalog, limit=1)
    asked(live)
    asked(open_study(more, catalog))
    assert Looking.seen[-1] == Looking.seen[-2]


def test_a_repeated_step_with_another_value_is_shown_as_it_is_stored(
    saving_spec: SavingSpec, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_on(_: Promoting, *seen: Any) -> Any:
        return Scripted.on_report(Scripted(None), *seen)  # type: ignore[arg-type]

    monkeypatch.setattr(Promoting, "on_report", go_on)
    spec = saving_spec("{name: promoting, fidelity: 2}", "{trials: 9}", "looking")
    study = open_study(spec, catalog)
    trial = asked(study)
    end(study, trial, Ending.LOST, 5.0, 4.0)
    again = asked(study)
    asked(study)
    assert Looking.seen[-1] == [(0, "COMPLETE", [4.0])]
    end(study, again, Ending.COMPLETED, 5.0, 6.0, 7.0)
    asked(study)
    assert Looking.seen[-1][0] == (0, "COMPLETE", [6.0])


# ---- changed ranges ----


def test_after_a_change_trials_are_shown_with_the_ranges_of_now(
    saving_spec: SavingSpec, run: RunStudy
) -> None:
    spec = saving_spec("none", "{trials: 8}", "looking")
    run(spec)
    inside = [row.number for row in rows(spec) if -5 <= row.params["x"] <= 5]
    assert 2 <= len(inside) < 8
    narrow = saving_spec("none", "{trials: 9}", "looking", **{"[-10, 10]": "[-5, 5]"})
    told = run(narrow, accept_changes=True)
    assert [each[0] for each in Looking.seen[-1]] == inside
    assert Looking.spaces[-1] == {
        "x": FloatDistribution(-5, 5),
        "y": FloatDistribution(-3, 3),
    }
    (start,) = [event for event in told if event.kind == "trial_started"]
    assert start.data["learned_from"] == len(inside)
    assert -5 <= start.data["params"]["x"] <= 5
    run(saving_spec("none", "{trials: 10}", "looking"), accept_changes=True)
    assert [each[0] for each in Looking.seen[-1]] == list(range(9))  # wide again: all count
    assert Looking.spaces[-1]["x"] == FloatDistribution(-10, 10)


def test_a_choice_with_another_alternative_keeps_its_trials(
    saving_spec: SavingSpec, run: RunStudy
) -> None:
    y = "y: {float: [-3, 3]}"
    spec = saving_spec("none", "{trials: 4}", "looking", **{y: "y: {choice: [0.0, 1.0]}"})
    run(spec)
    wider = saving_spec("none", "{trials: 12}", "looking", **{y: "y: {choice: [2.0, 0.0, 1.0]}"})
    run(wider, accept_changes=True)
    assert len(Looking.seen[-1]) == 11 and set(Looking.spaces[-1]) == {"x", "y"}
    assert 2.0 in {row.params["y"] for row in rows(wider)[4:]}


# ---- the view by itself ----

RANGE = {"x": FloatDistribution(0, 1)}


def trial(number: int, state: TrialState, steps: dict[int, float], x: float = 0.5) -> Any:
    """A trial as the ledger has it."""
    made = optuna.trial.create_trial(
        state=state,
        params={"x": x},
        distributions={"x": FloatDistribution(0, 9)},
        value=min(steps.values()) if state is TrialState.COMPLETE else None,
        intermediate_values=steps,
    )
    made.number = number
    return made


def test_changing_the_fidelity_back_and_forth_changes_nothing() -> None:
    evidence = Evidence(RANGE)
    for number, steps in enumerate([{1: 5.0}, {1: 4.0, 2: 3.0}, {1: 3.0}]):
        done = Progress(number, standing=Standing.FINISHED)
        evidence.update(trial(number, TrialState.COMPLETE, steps), done)
    views = [
        [(each.number, each.value) for each in evidence.show(fidelity, [])]
        for fidelity in (None, 1, 2, None, 2, 1)
    ]
    everything, first, second = (
        [(0, 5.0), (1, 3.0), (2, 3.0)],
        [(0, 5.0), (1, 4.0), (2, 3.0)],
        [(1, 3.0)],
    )
    assert views == [everything, first, second, everything, second, first]
    assert [evidence.results(fidelity) for fidelity in (None, 1)] == [3, 3]


def test_what_is_out_of_range_is_neither_shown_nor_counted() -> None:
    evidence = Evidence(RANGE)
    for number, x in enumerate([0.5, 2.0]):
        done = Progress(number, standing=Standing.FINISHED)
        evidence.update(trial(number, TrialState.COMPLETE, {1: 1.0}, x), done)
    others = [trial(2, TrialState.RUNNING, {}, 3.0), trial(3, TrialState.RUNNING, {}, 1.0)]
    for fidelity in (None, 1):
        shown = evidence.show(fidelity, others)
        assert [each.number for each in shown] == [0, 3]
        assert all(each.distributions == RANGE for each in shown)
        assert evidence.results(fidelity) == 1


def test_the_ledgers_trials_are_not_changed() -> None:
    evidence = Evidence(RANGE)
    mine = trial(0, TrialState.RUNNING, {1: 1.0})
    evidence.update(mine, Progress(0, standing=Standing.PAUSED, best=Report(1, {"loss": 1.0})))
    assert [each.state for each in evidence.show(None, [])] == [TrialState.PRUNED]
    assert mine.state is TrialState.RUNNING
    assert mine.distributions == {"x": FloatDistribution(0, 9)}
