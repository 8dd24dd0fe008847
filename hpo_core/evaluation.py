"""How a model does on data that nothing was chosen by: measured once, when it becomes a version, in a fresh process.

An objective whose factory has an attribute `evaluate` (`hpo_core.contracts`) measures its models; it is called by
`hpo_core.evaluating`, in a process that has trained nothing, so that what is recorded is what anybody gets who loads
the version's files. `hpo_core.registry.measuring` starts that process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from hpo_core.catalog import Catalog
from hpo_core.trial import ClassReport

PART = "test"
"""What models are measured on."""


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
        for name, value in self.metrics.items():
            if not isinstance(value, float | int) or not math.isfinite(value):
                raise ValueError(f"an evaluation has the {name} {value!r}, which is no number")
        if type(self.n) is not int or self.n < 0:
            raise ValueError(f"an evaluation is of {self.n!r} images")

    def to_json(self) -> dict[str, Any]:
        """The value as a dict of JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        classes = None if data["classes"] is None else ClassReport.from_json(data["classes"])
        return cls(**{**data, "classes": classes})


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
