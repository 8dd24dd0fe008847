"""An attempt as the driver sees it: its trial, how long it has had, and the most memory it was seen to hold."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hpo_core.trial import Trial

_turns = itertools.count()


@dataclass(frozen=True)
class Limits:
    """What an attempt may take: seconds in all, seconds without a report, bytes. None: no limit."""

    trial_timeout: float | None = None
    report_timeout: float | None = None
    memory: int | None = None

    def excess(self, held: int) -> str | None:
        """Why an attempt whose processes hold so many bytes must end, or None."""
        if self.memory is None or held <= self.memory:
            return None
        return f"exceeded memory: {in_words(held)} of {in_words(self.memory)}"


@dataclass(eq=False)
class Attempt:
    """One trial on one worker. Times are of `time.monotonic`.

    Its clock stands while the worker waits for the driver, to be forked or for a decision: a study that waits for its
    database costs no trial its time. `turn` tells what this attempt says from what an earlier one on the same worker
    may still say. `peak` is None while nothing was measured.
    """

    trial: Trial
    peak: int | None = None
    turn: int = field(default_factory=lambda: next(_turns))
    _spent: float = 0.0  # seconds before `_since`
    _since: float | None = None  # when the worker was last left to its work

    def go(self, now: float) -> None:
        """The worker has begun, or has got its decision."""
        self._since = now

    def reported(self, seconds: float) -> None:
        """The worker has reported, after `seconds` of its own clock, and waits for a decision."""
        self._spent += seconds
        self._since = None

    def held(self, number: int | None) -> None:
        """So many bytes were seen to be held."""
        if number is not None:
            self.peak = max(number, self.peak or 0)

    def overdue(self, now: float, limits: Limits) -> str | None:
        """Why the attempt must end, or None."""
        silent = 0.0 if self._since is None else now - self._since
        if limits.report_timeout is not None and silent > limits.report_timeout:
            return f"no report for {silent:.3g} s (report_timeout)"
        if limits.trial_timeout is not None and self._spent + silent > limits.trial_timeout:
            return f"ran for {self._spent + silent:.3g} s (trial_timeout)"
        return None


def in_words(size: int) -> str:
    """Bytes for people: `1.3 GB`, `250 MB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
