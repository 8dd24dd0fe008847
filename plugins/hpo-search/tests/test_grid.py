"""The grid: every point once, in a fixed order, however large, and then the end."""

from __future__ import annotations

from itertools import islice

import optuna
import pytest
from hpo_search import _grid, samplers

from hpo_core import Float, Int, Scalar, Space
from hpo_core.sampling import SamplerContext, SpaceExhausted
from hpo_core.testing.search import SPACES, AskTell

CONDITIONAL = SPACES["conditional"]
NESTED = Space(
    {
        "a": {"choice": [{"name": "p", "x": {"int": [0, 2]}}, "q", {"choice": ["r", "s"]}]},
        "list": [{"float": [0, 1], "step": 0.5}, 4],
    }
)


def points_of(space: Space, points: int = 3, seed: int | None = None) -> list[dict[str, Scalar]]:
    return [_grid.point(space, points, number, seed) for number in range(_grid.size(space, points))]


def grid(context: SamplerContext) -> optuna.samplers.BaseSampler:
    return samplers.grid(context, points=2)


def test_size_counts_alternatives_with_what_is_inside_them() -> None:
    # (adamw: 3 betas) + (sgd: 3 momenta x 2) = 9, x 3 learning rates x 3 epochs
    assert _grid.size(CONDITIONAL, 3) == 9 * 3 * 3
    assert _grid.size(NESTED, 3) == (3 + 1 + 2) * 3
    assert _grid.size(Space({"epochs": 3}), 3) == 1


@pytest.mark.parametrize("space", [CONDITIONAL, NESTED])
@pytest.mark.parametrize("seed", [None, 7])
def test_every_point_comes_once(space: Space, seed: int | None) -> None:
    seen = {tuple(sorted(point.items())) for point in points_of(space, seed=seed)}
    assert len(seen) == _grid.size(space, 3)


def test_the_first_parameter_of_the_file_changes_fastest() -> None:
    space = Space({"a": {"int": [0, 1]}, "b": {"choice": ["x", "y"]}})
    assert points_of(space) == [
        {"a": 0, "b": "x"},
        {"a": 1, "b": "x"},
        {"a": 0, "b": "y"},
        {"a": 1, "b": "y"},
    ]


def test_shuffling_depends_on_the_seed() -> None:
    orders = [str(points_of(CONDITIONAL, seed=seed)) for seed in (None, 1, 1, 2)]
    assert orders[1] == orders[2]
    assert len(set(orders)) == 3


def test_a_huge_grid_costs_nothing() -> None:
    space = Space({f"x{index}": {"float": [0, 1]} for index in range(60)})
    assert _grid.size(space, 10) == 10**60
    last = _grid.point(space, 10, 10**60 - 1, None)
    assert set(last.values()) == {1.0}
    assert len({str(_grid.point(space, 10, number, 3)) for number in range(50)}) == 50


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (Float(0, 1), (0, 0.5, 1)),
        (Float(0.01, 1, log=True), (0.01, 0.1, 1)),
        (Float(0, 0.3, step=0.1), (0.0, 0.2, 0.3)),
        (Float(0, 0.2, step=0.1), (0.0, 0.1, 0.2)),
        (Float(2, 2), (2,)),
        (Int(1, 3), (1, 2, 3)),
        (Int(0, 100, step=10), (0, 50, 100)),
        (Int(1, 100, log=True), (1, 10, 100)),
        (Int(1, 2, log=True), (1, 2)),
    ],
)
def test_levels(distribution: Float | Int, expected: tuple[float, ...]) -> None:
    assert _grid.levels(distribution, 3) == pytest.approx(expected)


def test_a_study_ends_with_the_grid() -> None:
    session = AskTell(grid, CONDITIONAL)
    total = _grid.size(CONDITIONAL, 2)
    proposals = session.run(total, (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL))
    assert len({str(proposed) for proposed in proposals}) == total
    with pytest.raises(SpaceExhausted, match=f"all {total} points of the grid have been tried"):
        session.ask()
    assert len(session.study.trials) == total  # nothing was asked for in vain


def test_a_study_continued_after_any_trial_goes_on_the_same() -> None:
    session = AskTell(grid, CONDITIONAL)
    proposals = session.run(8, (optuna.trial.TrialState.COMPLETE,))
    for finished in range(8):
        assert session.continued(finished).ask()[1] == proposals[finished]


def test_single_points_and_empty_spaces_have_one_point() -> None:
    for name in ("one point", "empty"):
        session = AskTell(grid, SPACES[name])
        session.run(1, (optuna.trial.TrialState.COMPLETE,))
        with pytest.raises(SpaceExhausted):
            session.ask()


def test_the_walk_is_a_permutation() -> None:
    places = [_grid._shuffled(number, 1000, 5) for number in range(1000)]
    assert sorted(places) == list(range(1000))
    assert list(islice(places, 5)) != [0, 1, 2, 3, 4]
