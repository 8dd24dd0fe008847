"""The images that a model is least sure of: what a person should label next (active learning)."""

from __future__ import annotations

import heapq

from hpo_vision.prediction.choices import Measure
from hpo_vision.prediction.rows import Row


class Selection:
    """Keeps the `size` most uncertain of all rows that it is offered; among equals the earlier ones."""

    def __init__(self, size: int, measure: Measure) -> None:
        self._size = size
        self._measure = measure
        self._offered = 0
        self._kept: list[
            tuple[float, int, Row]
        ] = []  # the least uncertain, and of these the latest, first

    def offer(self, row: Row) -> None:
        """Called for every row, in their order."""
        if row.error is not None:
            return
        self._offered += 1
        entry = (row.uncertainty[self._measure], -self._offered, row)
        if len(self._kept) < self._size:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def rows(self) -> list[Row]:
        """The most uncertain first."""
        return [row for _, _, row in sorted(self._kept, key=lambda entry: entry[:2], reverse=True)]
