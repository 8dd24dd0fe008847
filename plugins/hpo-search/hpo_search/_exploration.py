"""How population based training changes parameters: perturb, resample, or keep.

A value is multiplied by a factor and kept within its bounds and on its grid; or it is drawn anew from its
distribution. A choice has no neighbours, so it is kept or drawn anew. Where another alternative is chosen, the
parameters inside it that the parent did not have are drawn too: the result has exactly the active parameters.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hpo_core import Choice, Distribution, Float, Int, Scalar, Space


@dataclass(frozen=True)
class Exploration:
    """The paper's explore: with probability `resample` draw a value anew, else multiply it by one of `factors`.

    Parameters whose dotted names match one of the patterns `keep` are left as they are.
    """

    space: Space
    factors: Sequence[float]
    resample: float
    keep: Sequence[str]

    def explore(
        self, parent: dict[str, Scalar], dice: random.Random
    ) -> tuple[dict[str, Scalar], list[str]]:
        """A child's parameters, and what was changed, for people."""
        params: dict[str, Scalar] = {}
        changes: list[str] = []

        def suggest(path: str, distribution: Distribution) -> Scalar:
            if path not in parent:
                value = draw(distribution, dice)
            elif any(fnmatchcase(path, pattern) for pattern in self.keep):
                value = parent[path]
            else:
                value = self._changed(parent[path], distribution, dice)
            if path not in parent or value != parent[path]:
                changes.append(f"{path} {_show(parent.get(path))} -> {_show(value)}")
            params[path] = value
            return value

        self.space.fill(suggest)
        return params, changes

    def _changed(self, value: Scalar, distribution: Distribution, dice: random.Random) -> Scalar:
        again = dice.random() < self.resample
        factor = dice.choice(self.factors)
        if isinstance(distribution, Choice):
            return draw(distribution, dice) if again else value
        assert isinstance(value, int | float)  # the value of a number
        if again or value == 0:  # no factor would move it
            return draw(distribution, dice)
        return perturb(value, factor, distribution)


def perturb(value: float, factor: float, distribution: Float | Int) -> float:
    """`value * factor`, on the grid and within the bounds; on a grid at least one step away, where there is room."""
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is None:
        return min(max(value * factor, low), high)
    last, now = round((high - low) / step), round((value - low) / step)
    place = round((value * factor - low) / step)
    if place == now:
        place += 1 if value * factor > value else -1
    place = min(max(place, 0), last)
    return _at(place, distribution)


def draw(distribution: Distribution, dice: random.Random) -> Scalar:
    """A value from a distribution, as the sampler `random` would draw it."""
    if isinstance(distribution, Choice):
        return dice.choice(distribution.labels)
    low, high, step = distribution.low, distribution.high, distribution.step
    if isinstance(distribution, Int) and distribution.log:
        drawn = math.exp(dice.uniform(math.log(low - 0.5), math.log(high + 0.5)))
        return int(min(max(round(drawn), low), high))
    if step is not None:
        return _at(dice.randint(0, round((high - low) / step)), distribution)
    if distribution.log:
        return min(max(math.exp(dice.uniform(math.log(low), math.log(high))), low), high)
    return dice.uniform(low, high)


def _at(place: int, grid: Float | Int) -> float:
    """A value of a grid; three times 0.1 is a little more than the 0.3 that it must not exceed."""
    assert grid.step is not None
    return min(grid.low + place * grid.step, grid.high)


def _show(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
