"""What is counted over all rows: how many were read, how many are right."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from hpo_vision.prediction.rows import Row


@dataclass
class Tally:
    """Counts rows. `known` predicted ones have a truth that is a class of the model; `right` of them are right."""

    classes: Collection[str]
    predicted: int = 0
    failed: int = 0
    known: int = 0
    right: int = 0
    unknown: int = 0

    def count(self, row: Row) -> None:
        """Called for every row, once."""
        if row.error is not None:
            self.failed += 1
            return
        self.predicted += 1
        if row.truth is None:
            return
        if row.truth not in self.classes:
            self.unknown += 1
            return
        self.known += 1
        self.right += row.label == row.truth

    @property
    def accuracy(self) -> float | None:
        """The share of images that are labelled right; None where the truth of none is known."""
        return self.right / self.known if self.known else None

    def document(self) -> dict[str, Any]:
        """For scripts."""
        names = ("predicted", "failed", "accuracy", "known", "right", "unknown")
        return {name: getattr(self, name) for name in names}
