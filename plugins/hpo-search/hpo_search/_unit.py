"""Distributions as intervals: every value has a place in [0, 1], and every place a value.

Numbers on a log scale are spread evenly in their logarithm. Discrete values share the interval in equal cells, so a
uniform place is a uniform value.
"""

from __future__ import annotations

import math
from decimal import Decimal

from hpo_core import Choice, Distribution, Float, Int, Scalar


def cells(distribution: Distribution) -> int | None:
    """How many values a distribution has, or None when it is continuous."""
    if isinstance(distribution, Choice):
        return len(distribution.alternatives)
    if isinstance(distribution, Int):
        return (distribution.high - distribution.low) // distribution.step + 1
    if distribution.low == distribution.high:
        return 1
    if distribution.step is None:
        return None
    # a count by floats would lose the last value of [0, 0.3] by 0.1
    low, high = Decimal(str(distribution.low)), Decimal(str(distribution.high))
    return int((high - low) // Decimal(str(distribution.step))) + 1


def nth(distribution: Distribution, index: int) -> Scalar:
    """The value number `index`, from 0, of a distribution that has `cells`."""
    if isinstance(distribution, Choice):
        return distribution.labels[index]
    if isinstance(distribution, Int):
        return distribution.low + index * distribution.step
    step = Decimal(str(distribution.step or 0))
    return float(Decimal(str(distribution.low)) + index * step)  # 0.3, not 0.30000000000000004


def from_unit(distribution: Distribution, place: float) -> Scalar:
    """The value at a place in [0, 1]."""
    count = cells(distribution)
    if count is not None and not _log(distribution):
        return nth(distribution, min(int(place * count), count - 1))
    low, high = _ends(distribution)
    raw = low + place * (high - low)
    raw = math.exp(raw) if _log(distribution) else raw
    if isinstance(distribution, Int):
        raw = round(raw)
    assert not isinstance(distribution, Choice)
    return min(max(raw, distribution.low), distribution.high)  # rounding may leave the range


def to_unit(distribution: Float | Int, value: float) -> float:
    """The place of a number: the middle of its cell where it has one."""
    count = cells(distribution)
    if count is not None and not _log(distribution):
        step = distribution.step or 1
        return (round((value - distribution.low) / step) + 0.5) / count
    low, high = _ends(distribution)
    raw = math.log(value) if _log(distribution) else value
    return (raw - low) / (high - low) if high > low else 0.5


def _log(distribution: Distribution) -> bool:
    return not isinstance(distribution, Choice) and distribution.log


def _ends(distribution: Distribution) -> tuple[float, float]:
    """The interval's ends; a whole number on a log scale owns half a unit to either side."""
    assert not isinstance(distribution, Choice)
    low, high = float(distribution.low), float(distribution.high)
    if isinstance(distribution, Int):
        low, high = low - 0.5, high + 0.5
    return (math.log(low), math.log(high)) if distribution.log else (low, high)
