"""How a model does on data that nothing was chosen by: measured once, when it becomes a version, in a fresh process.

An objective whose factory has an attribute `evaluate` (`hpo_core.contracts`) measures its models; it is called by
`hpo_core.evaluating`, in a process that has trained nothing, so that what is recorded is what anybody gets who loads
the version's files. `hpo_core.registry.measuring` starts that process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, Self

from hpo_core.catalog import Catalog
from hpo_core.trial import ClassReport

PART = "test"
"""What models are measured on."""

MOST: Mapping[str, float] = {"accuracy": 1.0, "ece": 1.0, "latency_seconds": math.inf}
"""The most that a metric can be which a criterion may ask for; the least is 0. In percent nothing would fail."""


class StoppedError(Exception):
    """Somebody wants the driver to stop: nothing was measured, and it may be measured another time."""


@dataclass(frozen=True)
class Evaluation:
    """How a model does on the part `part`, of `n` images.

    `metrics` are numbers by name: `accuracy`, `log_loss`, `ece` (the expected calibration error), `latency_seconds`
    where they are known. `classes` is how it does on each class, and what is mistaken for what. `data` is what was
    measured on, in JSON types (`sha256`, say). `reason` is why nothing could be measured; `n` is 0 then.
    """

    n: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    classes: ClassReport | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    part: str = PART
    reason: str = ""

    def __post_init__(self) -> None:
        if type(self.n) is not int or self.n < 0:
            raise ValueError(f"an evaluation is of {self.n!r} images")
        _check_metrics(self.metrics)
        if self.classes is not None:
            _check_classes(self.classes)
        # numpy's numbers are no JSON
        object.__setattr__(self, "metrics", {name: float(it) for name, it in self.metrics.items()})

    def to_json(self) -> dict[str, Any]:
        """The value as a dict of JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        classes = None if data["classes"] is None else ClassReport.from_json(data["classes"])
        return cls(**{**data, "classes": classes})


def _check_metrics(metrics: Mapping[str, Any]) -> None:
    """Raise ValueError for what no criterion could be judged by."""
    for name, value in metrics.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"an evaluation has the {name} {value!r}, which is no number")
        if name in MOST and not 0 <= float(value) <= MOST[name]:
            raise ValueError(
                f"an evaluation has the {name} {value!r}, which is not from 0 to {MOST[name]:g}"
            )


def _check_classes(report: ClassReport) -> None:
    """As `_check_metrics`, for the numbers of classes."""
    for name in ("precision", "recall", "f1"):
        for label, value in zip(report.classes, getattr(report, name), strict=True):
            if not 0 <= value <= 1:
                raise ValueError(
                    f"an evaluation has the {name} {value!r} of class {label!r}, which is not from 0 to 1 (0 where it "
                    "has no images)"
                )


@dataclass(frozen=True)
class Question:
    """What is to be measured: the model in `folder`, made by a trial of `objective` with `config` and `seed`.

    References in `config` are unresolved. `code_path` is where user code may be imported from (`hpo_core.Trial`).
    """

    folder: Path
    objective: str
    config: Mapping[str, Any]
    seed: int
    code_path: list[str] | None = None

    def to_json(self) -> dict[str, Any]:
        """One line for the process that measures."""
        return asdict(self) | {"folder": str(self.folder.absolute())}


def evaluates(catalog: Catalog, objective: str, config: Mapping[str, Any]) -> bool:
    """Whether an objective with these options measures its models."""
    evaluate = getattr(catalog.entry("objectives", objective).factory, "evaluate", None)
    needed = getattr(evaluate, "needs", None)
    return evaluate is not None and (needed is None or config.get(needed) is not None)
