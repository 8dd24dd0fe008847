"""What comes of training a model version again: numbers beside those that were recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Number:
    """A number as it was recorded, and as it came out again; None: it was not measured."""

    name: str
    recorded: float | None
    again: float | None

    @property
    def same(self) -> bool:
        """Whether it is the same, to the last bit."""
        return self.recorded == self.again


@dataclass(frozen=True)
class Reproduction:
    """What came of training a version again.

    `metric` is the study's, on what the trial was judged by; `tested` are those of the evaluation. `weights` are the
    sha256 of the files of weights. `differences` are those of libraries, machine, code and data, as (what, recorded,
    now). `accepted` tells whether the result counts as the same, and `reason` why.
    """

    version: str
    directory: str
    metric: Number
    tested: tuple[Number, ...]
    weights: tuple[str, str]
    differences: tuple[tuple[str, Any, Any], ...]
    accepted: bool
    reason: str

    @property
    def same_weights(self) -> bool:
        """Whether the weights are the same, to the last bit."""
        return self.weights[0] == self.weights[1]

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo reproduce --json`."""

        def number(each: Number) -> dict[str, Any]:
            return {"recorded": each.recorded, "again": each.again, "same": each.same}

        return {
            "version": self.version,
            "reproduced": self.accepted,
            "reason": self.reason,
            "metric": {"name": self.metric.name, **number(self.metric)},
            "tested": {each.name: number(each) for each in self.tested},
            "weights": {
                "recorded": self.weights[0],
                "again": self.weights[1],
                "same": self.same_weights,
            },
            "differences": [
                {"what": what, "recorded": recorded, "now": now}
                for what, recorded, now in self.differences
            ],
            "directory": self.directory,
        }
