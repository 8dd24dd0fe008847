"""Rungs: the epochs at which trials are compared, and who stands where.

Successive halving compares trials at r, r * eta, r * eta**2, ... epochs. A rung is named by its number of epochs. Ranks
are found by bisection, so that a report costs as good as nothing after ten thousand trials.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from hpo_core import Report, Trial
from hpo_search._horizon import at_end

MinEpochs = Annotated[int, Field(ge=1, description="epochs of the first rung")]
Factor = Annotated[
    int, Field(ge=2, description="one in this many goes on; rungs are this factor apart")
]
MaxEpochs = Annotated[
    int | None, Field(ge=1, description="no rung from here on; null: the objective's `epochs`")
]


@dataclass(frozen=True)
class Ladder:
    """Where the rungs are: at `first * factor**k` epochs, below `end` and below each trial's own last epoch."""

    first: int
    factor: int
    end: int | None = None

    def reached(self, trial: Trial, report: Report) -> int | None:
        """The highest rung at or below the reported epoch; None before the first and where there are no more."""
        over = self.end is not None and report.step >= self.end
        if over or at_end(trial, report) or report.step < self.first:
            return None
        rung = self.first
        while rung * self.factor <= report.step:
            rung *= self.factor
        return rung


@dataclass
class Rung:
    """The trials that got to a rung, with the scores they had then, and which of them wait there.

    Ranked are pairs (score, -number), ascending: of equals the earlier trial is the better one.
    """

    ranked: list[tuple[float, int]] = field(default_factory=list)
    keys: dict[int, tuple[float, int]] = field(default_factory=dict)
    _waiting: list[tuple[float, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ranked)

    def add(self, number: int, score: float) -> None:
        """A trial has got here."""
        self.keys[number] = (score, -number)
        insort(self.ranked, self.keys[number])

    def rank(self, number: int) -> int:
        """A trial's place among all that got here; the best is 1."""
        return len(self.ranked) - bisect_left(self.ranked, self.keys[number])

    def wait(self, number: int) -> None:
        """A trial that got here is paused and has saved its state."""
        insort(self._waiting, self.keys[number])

    def waits(self, number: int) -> bool:
        """Whether a trial is paused here."""
        return _holds(self._waiting, self.keys[number])

    def leave(self, number: int) -> None:
        """A trial no longer waits here, if it did: it goes on or has ended. Its score stays."""
        _drop(self._waiting, self.keys[number])

    def remove(self, number: int) -> None:
        """A trial, if it got here, is no longer counted: it has failed."""
        if number in self.keys:
            key = self.keys.pop(number)
            _drop(self._waiting, key)
            _drop(self.ranked, key)

    def best_waiting(self, places: int) -> int | None:
        """The best trial that waits, if it is among the best `places` of all that got here."""
        if not self._waiting:
            return None
        number = -self._waiting[-1][1]
        return number if self.rank(number) <= places else None


def _holds(pairs: list[tuple[float, int]], pair: tuple[float, int]) -> bool:
    place = bisect_left(pairs, pair)
    return place < len(pairs) and pairs[place] == pair


def _drop(pairs: list[tuple[float, int]], pair: tuple[float, int]) -> None:
    if _holds(pairs, pair):
        del pairs[bisect_left(pairs, pair)]
