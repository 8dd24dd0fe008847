"""The training part, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpo_core import Batches


class Epochs:
    """A training part whose order is that of `epoch` (from 0), however often Lightning makes an iterator of it."""

    def __init__(self, batches: Batches) -> None:
        self.epoch = 0
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        self.batches.set_epoch(self.epoch)
        yield from self.batches

    @property
    def drawn(self) -> tuple[int, ...] | None:
        """The images of each class in the epoch that was begun last, where the part counts them."""
        return getattr(self.batches, "drawn", None)
