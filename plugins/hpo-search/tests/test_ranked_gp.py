"""The sampler `ranked-gp`: the contract, the order that it learns from, its encoding, and whether it learns."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np
import optuna
import pytest
from hpo_search import samplers
from hpo_search._cube import Cube
from hpo_search._gaussian import Gaussian
from hpo_search._ranking import ranked
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo_core import Space
from hpo_core.sampling import SamplerContext
from hpo_core.testing.search import SPACES, AskTell, SamplerContract

MINIMIZE, MAXIMIZE = StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE


class TestRankedGp(SamplerContract):
    def sampler(self, context: SamplerContext) -> BaseSampler:
        return samplers.ranked_gp(context, startup_trials=3, random_share=0.2)


def trial(number: int, state: TrialState, curve: dict[int, float]) -> FrozenTrial:
    ended = state in (TrialState.COMPLETE, TrialState.PRUNED)
    value = min(curve.values()) if ended and curve else None
    made = optuna.trial.create_trial(
        state=state,
        value=value,
        params={"x": number / 100},
        distributions={"x": FloatDistribution(0, 1)},
        intermediate_values=curve,
    )
    made.number = number
    return made


def numbers(trials: list[FrozenTrial], direction: StudyDirection = MINIMIZE) -> list[int]:
    return [each.number for each in ranked(trials, direction)]


def test_who_was_allowed_further_is_better_and_the_value_decides_among_equals() -> None:
    trials = [
        trial(0, TrialState.PRUNED, {1: 0.1}),
        trial(1, TrialState.PRUNED, {1: 0.5, 2: 0.9, 3: 0.8}),
        trial(2, TrialState.COMPLETE, {1: 0.9, 9: 0.7}),
        trial(3, TrialState.FAIL, {1: 0.0}),
        trial(4, TrialState.PRUNED, {1: 0.05}),
        trial(5, TrialState.COMPLETE, {1: 0.9, 9: 0.6}),
    ]
    assert numbers(trials) == [5, 2, 1, 4, 0, 3]


def test_a_running_trial_is_judged_by_the_last_stage_that_it_has_passed() -> None:
    trials = [
        trial(0, TrialState.PRUNED, {1: 0.5}),
        trial(1, TrialState.PRUNED, {1: 0.4, 2: 0.3, 3: 0.2}),
        trial(2, TrialState.RUNNING, {1: 0.45, 2: 0.01}),  # as it stood after 1
        trial(3, TrialState.RUNNING, {}),
        trial(4, TrialState.RUNNING, {2: 0.1}),  # it had no report at epoch 1 to be compared with
        trial(5, TrialState.PRUNED, {}),
    ]
    assert numbers(trials) == [1, 2, 0]
    assert numbers(trials[2:]) == []


def test_more_is_better_where_the_goal_is_to_maximize() -> None:
    trials = [trial(n, TrialState.COMPLETE, {1: value}) for n, value in enumerate((1.0, 3.0, 2.0))]
    assert numbers(trials, MAXIMIZE) == [1, 2, 0]
    assert numbers(trials, MINIMIZE) == [0, 2, 1]


def test_features_of_what_a_trial_does_not_have_are_all_alike() -> None:
    cube = Cube(SPACES["conditional"])
    adam = {"optimizer": "adamw", "optimizer.adamw.beta": 0.9, "lr": 0.01, "epochs": 3}
    sgd: dict[str, Any] = {"optimizer": "sgd", "lr": 0.01, "epochs": 3}
    inner = {"optimizer.sgd.momentum": 0.1, "optimizer.sgd.nesterov": True}
    other = {"optimizer.sgd.momentum": 0.8, "optimizer.sgd.nesterov": False}
    places = cube.places([adam, sgd | inner, sgd | other])
    places[0, list(SPACES["conditional"].parameters()).index("optimizer.sgd.momentum")] = 0.9
    features = cube.features(places)
    assert features.shape == (3, len(cube.owners))
    distance = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    assert distance[1, 2] == pytest.approx((0.7 / 0.95) ** 2 + 1)
    again = cube.features(cube.places([adam]))
    assert np.array_equal(again[0], features[0])  # whatever stands in the place of sgd's momentum


@pytest.mark.parametrize("name", SPACES)
def test_places_lead_back_to_the_same_values(name: str) -> None:
    cube = Cube(SPACES[name])
    places = np.random.default_rng(0).random((20, len(cube)))
    points = [cube.point(row) for row in places]
    for point, again in zip(points, cube.places(points), strict=True):
        assert cube.point(again) == pytest.approx(point)


def test_the_process_goes_through_points_without_noise_and_doubts_elsewhere() -> None:
    points = np.linspace(0, 1, 9)[:, None]
    targets = np.sin(6 * points[:, 0])
    model = Gaussian.given(points, targets, np.array([0.3]), 1e-6)
    mean, deviation = model.predict(np.array([[0.25], [0.3], [3.0]]))
    assert mean[0] == pytest.approx(targets[2], abs=1e-3)
    assert mean[1] == pytest.approx(math.sin(1.8), abs=0.02)
    assert deviation[0] < 0.01 < 0.9 < deviation[2]
    sure, _ = model.predict(np.array([[3.0]]))
    believing = model.believing(np.array([[3.0]])).predict(np.array([[3.0]]))
    assert believing[1][0] < 0.01
    assert believing[0][0] == pytest.approx(sure[0], abs=1e-3)


def test_the_fit_finds_out_which_parameter_matters() -> None:
    dice = np.random.default_rng(0)
    points = dice.random((60, 2))
    targets = np.sin(6 * points[:, 0])
    model = Gaussian.fit(points, targets, np.arange(2), dice)
    assert model.lengths[0] < model.lengths[1]


class Paused(AskTell):
    """Trials of a bowl of which the good ones are trained for a second epoch; none completes."""

    def tell(self, trial: optuna.Trial, proposed: dict[str, Any], ending: TrialState) -> None:
        value = -sum((proposed[name] - 0.7) ** 2 for name in "abcd")
        trial.report(value - 1, 1)
        if value > -0.3:
            trial.report(value, 2)
        self.study.tell(trial, state=TrialState.PRUNED)


def test_it_beats_chance_on_trials_that_were_all_stopped_early() -> None:
    space = Space({name: {"float": [0.0, 1.0]} for name in "abcd"})

    def best(random_share: float, seed: int) -> float:
        def build(context: SamplerContext) -> BaseSampler:
            return samplers.ranked_gp(context, startup_trials=10, random_share=random_share)

        proposals = Paused(build, space, seed).run(50, (TrialState.PRUNED,))
        return min(sum((float(p[name] or 0) - 0.7) ** 2 for name in "abcd") for p in proposals)

    model, chance = (median(best(share, seed) for seed in (1, 2, 3)) for share in (0.5, 1.0))
    assert model < chance / 3
