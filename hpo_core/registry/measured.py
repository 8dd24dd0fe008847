"""What was measured of a version, read from its evaluation whoever wrote that, and from its trial.

An evaluation is JSON of `{part, n, metrics, intervals, classes, gates}`: the part of the data and how many images it
has, numbers by name (`accuracy`, `latency_seconds`), their intervals `[low, high]` where there are, and a
`hpo_core.ClassReport`. Nothing of it need be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo_core.registry.model_version import ModelVersion
from hpo_core.trial import ClassReport


@dataclass(frozen=True)
class Measured:
    """A number, with its interval where there is one. `part` is what it was measured on, `validation` for a trial's."""

    part: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None


def numbers(version: ModelVersion) -> list[Measured]:
    """The metrics of a version: its evaluation's, then those that its trial had when the checkpoint was saved."""
    evaluation = version.evaluation or {}
    part, intervals = str(evaluation.get("part", "test")), evaluation.get("intervals") or {}
    found = [
        Measured(part, name, value, *(intervals.get(name) or (None, None)))
        for name, value in (evaluation.get("metrics") or {}).items()
        if value is not None
    ]
    told = {version.metric: version.value} | version.metrics
    return [*found, *(Measured("validation", name, value) for name, value in told.items())]


def classes(version: ModelVersion) -> dict[str, dict[str, float]]:
    """Precision, recall and f1 of each class by its name; empty where nobody has measured them."""
    given: Mapping[str, Any] | None = (version.evaluation or {}).get("classes")
    if given is None:
        return {}
    report = ClassReport.from_json(given)
    rows = zip(report.classes, report.precision, report.recall, report.f1, strict=True)
    return {name: {"precision": p, "recall": r, "f1": f} for name, p, r, f in rows}


def size(version: ModelVersion) -> int | None:
    """The bytes of the version's files; None where an older hpo has not kept them."""
    sizes = [about["size"] for about in version.files.values()]
    return None if None in sizes else sum(sizes)
