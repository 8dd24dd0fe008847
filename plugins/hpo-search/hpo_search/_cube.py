"""A conditional space as a cube, for models that need every trial as a vector of the same length.

A *place* in [0, 1] stands for a parameter's value (see `_unit`), so a trial is a row of places, one for each parameter
that the tree can have. A *feature* is what a model measures distances with: a number's place; for a choice a column for
each alternative, so that any two of them are equally far apart (1, like the ends of a range). Parameters that do not
exist in a trial, because another alternative was chosen, have the same features in all such trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_core import Choice, Distribution, Scalar, Space
from hpo_search import _unit

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

APART = 0.5**0.5
"""The feature of the alternative that was chosen: two alternatives then differ by 1."""


class Cube:
    """Turns parameters into places, places into features and into parameters again."""

    def __init__(self, space: Space) -> None:
        self._parameters = space.parameters()
        names = list(self._parameters)
        self._conditions = [
            [(names.index(choice), index) for choice, index in conditions]
            for conditions in _conditions(self._parameters).values()
        ]
        self._alternatives = [_alternatives(each) for each in self._parameters.values()]
        widths = [_width(each) for each in self._parameters.values()]
        self.owners = np.repeat(np.arange(len(names)), widths)
        """The parameter that each feature belongs to (features,)."""

    def __len__(self) -> int:
        return len(self._parameters)

    def places(self, trials: Sequence[Mapping[str, Any]]) -> Floats:
        """The places of trials' parameters by name (trials, parameters); the middle where there is none."""
        rows = [
            [
                self._place(name, params[name]) if name in params else 0.5
                for name in self._parameters
            ]
            for params in trials
        ]
        return np.array(rows, dtype=float).reshape(len(trials), len(self))

    def features(self, places: Floats) -> Floats:
        """What a model sees of places (trials, parameters): (trials, features)."""
        columns = []
        for index, distribution in enumerate(self._parameters.values()):
            there = self._there(places, index)
            width = _width(distribution)
            if isinstance(distribution, Choice):
                chosen = _chosen(places[:, index], len(distribution.alternatives))
                columns += [APART * (there & (chosen == label)) for label in range(width)]
            elif width:
                columns.append(np.where(there, places[:, index], 0.5))
        return np.stack(columns, axis=1) if columns else np.zeros((len(places), 0))

    def point(self, places: Floats) -> dict[str, Scalar]:
        """The values at the places of one trial (parameters,), for every parameter that it may turn out to have."""
        return {
            name: _unit.from_unit(distribution, float(place))
            for (name, distribution), place in zip(self._parameters.items(), places, strict=True)
        }

    def _place(self, name: str, value: Any) -> float:
        distribution = self._parameters[name]
        if isinstance(distribution, Choice):
            return (distribution.labels.index(value) + 0.5) / len(distribution.alternatives)
        return _unit.to_unit(distribution, value)

    def _there(self, places: Floats, index: int) -> Bools:
        """In which trials a parameter exists (trials,)."""
        there = np.ones(len(places), dtype=bool)
        for choice, label in self._conditions[index]:
            there &= _chosen(places[:, choice], self._alternatives[choice]) == label
        return there


def _chosen(places: Floats, alternatives: int) -> NDArray[np.intp]:
    """The alternatives at the places of a choice, as `_unit.from_unit` takes them."""
    return np.minimum((places * alternatives).astype(np.intp), alternatives - 1)


def _alternatives(distribution: Distribution) -> int:
    return len(distribution.alternatives) if isinstance(distribution, Choice) else 0


def _width(distribution: Distribution) -> int:
    """How many features a parameter has: none where it has one value."""
    if _unit.cells(distribution) == 1:
        return 0
    return _alternatives(distribution) or 1


def _conditions(parameters: Mapping[str, Distribution]) -> dict[str, list[tuple[str, int]]]:
    """What must be chosen for each parameter to exist: names of choices with the index of the alternative."""
    conditions: dict[str, list[tuple[str, int]]] = {name: [] for name in parameters}
    for choice, distribution in parameters.items():
        if not isinstance(distribution, Choice):
            continue
        for index, label in enumerate(distribution.labels):
            for inner in Space({"": distribution.alternatives[index]}).parameters():
                name = f"{choice}.{label}.{inner}".removesuffix(".")
                conditions[name].append((choice, index))
    return conditions
