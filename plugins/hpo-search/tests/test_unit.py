"""Distributions as intervals."""

from __future__ import annotations

from collections import Counter

import pytest
from hpo_search import _unit

from hpo_core import Choice, Distribution, Float, Int


@pytest.mark.parametrize(
    ("distribution", "place", "value"),
    [
        (Float(2, 4), 0.5, 3.0),
        (Float(0.01, 1, log=True), 0.5, 0.1),
        (Float(0.01, 1, log=True), 1.0, 1.0),
        (Float(0, 0.3, step=0.1), 0.999, 0.3),
        (Float(0, 0.3, step=0.1), 1.0, 0.3),
        (Int(1, 4), 0.0, 1),
        (Int(1, 4), 0.75, 4),
        (Int(1, 4), 1.0, 4),
        (Int(1, 100, log=True), 0.0, 1),
        (Int(1, 100, log=True), 1.0, 100),
        (Choice((None, "x", 2)), 0.5, "x"),
    ],
)
def test_from_unit(distribution: Distribution, place: float, value: object) -> None:
    assert _unit.from_unit(distribution, place) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    "distribution",
    [
        Float(-1, 4),
        Float(1e-5, 1, log=True),
        Float(0, 1, step=0.25),
        Int(3, 9),
        Int(0, 30, step=10),
        Int(1, 64, log=True),
    ],
)
def test_to_unit_is_the_inverse(distribution: Float | Int) -> None:
    for index in range(101):
        value = _unit.from_unit(distribution, index / 100)
        assert isinstance(value, int | float)
        place = _unit.to_unit(distribution, value)
        assert 0 <= place <= 1
        assert _unit.from_unit(distribution, place) == pytest.approx(value)


def test_discrete_values_share_the_interval_evenly() -> None:
    places = [(index + 0.5) / 1000 for index in range(1000)]
    for distribution in (Int(1, 4), Float(0, 0.3, step=0.1), Choice(("a", "b", "c", "d"))):
        shares = Counter(_unit.from_unit(distribution, place) for place in places)
        assert set(shares.values()) == {250}
