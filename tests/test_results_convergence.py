"""Convergence, against curves whose figures can be worked out by hand."""

from __future__ import annotations

import math

import pytest

from hpo_core.results import convergence
from hpo_core.results.trials import Curve, best_step
from hpo_core.trial import Goal


def curve(*values: float) -> Curve:
    return dict(enumerate(values, 1))


@pytest.mark.parametrize(
    "values, goal, share, expected",
    [
        ([0.1, 0.5, 0.94, 0.96, 1.0], "maximize", 0.95, 4),
        ([0.1, 0.5, 0.95, 0.96, 1.0], "maximize", 0.95, 3),  # just so much is enough
        ([0.1, 0.5, 0.94, 0.96, 1.0], "maximize", 0.5, 2),
        ([0.1, 1.0, 0.2], "maximize", 1.0, 2),
        ([4.0, 2.1, 2.0, 1.0], "minimize", 0.5, 3),  # half of it: twice the least loss
        ([math.nan, 0.5], "maximize", 0.95, 2),
        ([-2.0, -1.0], "maximize", 0.95, None),  # of what is below 0 there is no share
        ([math.nan], "maximize", 0.95, None),
        ([], "maximize", 0.95, None),
    ],
)
def test_epochs_to_a_share_of_the_best(
    values: list[float], goal: Goal, share: float, expected: int | None
) -> None:
    assert convergence.epochs_to(curve(*values), goal, share) == expected


def test_the_area_is_the_mean_height() -> None:
    assert convergence.area(curve(0.0, 1.0)) == 0.5
    assert convergence.area(curve(0.2, 0.4, 0.8)) == pytest.approx((0.3 + 0.6) / 2)
    assert convergence.area({1: 0.0, 3: 1.0, 4: 1.0}) == pytest.approx((2 * 0.5 + 1.0) / 3)
    assert convergence.area(curve(0.7)) == 0.7
    assert convergence.area(curve(0.0, math.nan, 1.0)) == 0.5
    assert convergence.area({}) is None
    early, late = curve(0.1, 0.9, 0.9), curve(0.1, 0.1, 0.9)
    assert (convergence.area(early) or 0) > (convergence.area(late) or 0)


@pytest.mark.parametrize(
    "values, goal, expected",
    [
        ([0.5, 0.9, 0.9, 0.9, 0.9], "maximize", 2),
        ([0.5, 0.9, 0.9, 0.9], "maximize", None),  # two epochs are no plateau
        ([0.5, 0.9, 0.904, 0.904, 0.904], "maximize", 2),  # 0.4 % are no improvement
        ([0.5, 0.9, 0.904, 0.908, 0.91, 0.91], "maximize", None),  # but they add up
        ([1.0, 0.5, 0.5, 0.6, 0.7], "minimize", 2),
        ([0.1, 0.2, 0.3, 0.4], "maximize", None),
        ([-1.0, -0.5, -0.5, -0.5, -0.5], "maximize", 2),
        ([], "maximize", None),
    ],
)
def test_a_plateau(values: list[float], goal: Goal, expected: int | None) -> None:
    assert convergence.plateau(curve(*values), goal) == expected


@pytest.mark.parametrize(
    "loss, expected",
    [
        ([1.0, 0.5, 0.7, 0.75], None),  # half as much again is not more than that
        ([1.0, 0.5, 0.8, 0.9], 3),
        ([1.0, 0.5, 0.8, 0.6], None),  # it recovered
        ([1.0, 0.5, 0.8, 0.6, 0.9], 5),
        ([1.0, 0.01, 0.05], None),  # five times of next to nothing
        ([1.0, 0.01, 0.07], 3),
        ([1.0, math.nan], 2),
        ([math.nan], 1),
        ([-1.0, -0.5, 3.0], None),
        ([], None),
    ],
)
def test_divergence(loss: list[float], expected: int | None) -> None:
    assert convergence.diverged(curve(*loss)) == expected


def test_the_best_epoch_is_the_first_of_equals() -> None:
    assert best_step(curve(0.1, 0.9, 0.9), "maximize") == 2
    assert best_step(curve(0.1, 0.9, 0.1), "minimize") == 1
    assert best_step(curve(math.nan, math.inf), "maximize") is None
