"""Two model versions side by side: metrics with intervals, parameters, classes, size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hpo_core.registry import measured
from hpo_core.registry.measured import Measured
from hpo_core.registry.model_version import ModelVersion


@dataclass(frozen=True)
class Pair:
    """A number of both versions; None where one has it not. `difference` is the second's less the first's."""

    part: str
    name: str
    first: Measured | None
    second: Measured | None

    @property
    def difference(self) -> float | None:
        """How much greater the second one's is."""
        if self.first is None or self.second is None:
            return None
        return self.second.value - self.first.value

    @property
    def apart(self) -> bool | None:
        """Whether the intervals have nothing in common; None where there are no two."""
        one, other = self.first, self.second
        if one is None or other is None or one.low is None or other.low is None:
            return None
        assert one.high is not None and other.high is not None
        return one.high < other.low or other.high < one.low


@dataclass(frozen=True)
class Comparison:
    """What differs between two versions, and what does not of their metrics.

    `options` are those of the objective that differ, by dotted name, None where one has it not; `classes` the recalls
    of each class.
    """

    first: ModelVersion
    second: ModelVersion
    metrics: tuple[Pair, ...]
    options: Mapping[str, tuple[Any, Any]]
    classes: Mapping[str, tuple[float | None, float | None]]
    sizes: tuple[int | None, int | None]

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo models compare --json`."""
        return {
            "first": self.first.label,
            "second": self.second.label,
            "metrics": [
                asdict(pair) | {"difference": pair.difference, "apart": pair.apart}
                for pair in self.metrics
            ],
            "options": {name: list(both) for name, both in self.options.items()},
            "classes": {name: list(both) for name, both in self.classes.items()},
            "bytes": list(self.sizes),
        }


def compare(first: ModelVersion, second: ModelVersion) -> Comparison:
    """Compare two versions, of one model or of two."""
    return Comparison(
        first,
        second,
        tuple(_pairs(first, second)),
        _differing(first.options, second.options),
        _recalls(measured.classes(first), measured.classes(second)),
        (measured.size(first), measured.size(second)),
    )


def _pairs(first: ModelVersion, second: ModelVersion) -> list[Pair]:
    ours, theirs = (
        {(each.part, each.name): each for each in measured.numbers(version)}
        for version in (first, second)
    )
    keys = [*ours, *(key for key in theirs if key not in ours)]
    return [Pair(*key, ours.get(key), theirs.get(key)) for key in keys]


def _differing(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*ours, *(name for name in theirs if name not in ours)]
    both = {name: (ours.get(name), theirs.get(name)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _recalls(
    ours: Mapping[str, Mapping[str, float]], theirs: Mapping[str, Mapping[str, float]]
) -> dict[str, tuple[float | None, float | None]]:
    names = [*ours, *(name for name in theirs if name not in ours)]
    return {
        name: (ours.get(name, {}).get("recall"), theirs.get(name, {}).get("recall"))
        for name in names
    }
