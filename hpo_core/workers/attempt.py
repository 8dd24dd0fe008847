"""An attempt as the driver sees it: its trial, how long it has had, what it was seen to hold and to compute."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from hpo_core.trial import Ending, Outcome, Trial
from hpo_core.workers import oom_killer
from hpo_core.workers.gpu import Use

EXCEEDED = "exceeded memory"

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
        return f"{EXCEEDED}: {in_words(held)} of {in_words(self.memory)}"


@dataclass(eq=False)
class Attempt:
    """One trial on one worker. Times are of `time.monotonic`.

    Its clock stands while the worker waits for the driver, to be forked or for a decision: a study that waits for its
    database costs no trial its time. `turn` tells what this attempt says from what an earlier one on the same worker
    may still say. `peak` and `peak_gpu`, bytes, are None while nothing was measured. What is measured is said in the
    thread that measures.
    """

    trial: Trial
    peak: int | None = None
    peak_gpu: int | None = None
    turn: int = field(default_factory=lambda: next(_turns))
    _spent: float = 0.0  # seconds before `_since`
    _since: float | None = None  # when the worker was last left to its work
    _looks: int = 0  # at the GPUs
    _computed: float | None = None  # the sum of the percentages, if it was seen on a GPU
    _around: float | None = None  # the sum of those of the busiest GPU, whoever used it

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

    def held_on_gpus(self, number: int | None) -> None:
        """So many bytes were seen to be held on GPUs."""
        if number is not None:
            self.peak_gpu = max(number, self.peak_gpu or 0)

    def seen(self, use: Use) -> None:
        """This is what its processes did on the GPUs when they were last looked at."""
        self._looks += 1
        self.held_on_gpus(use.memory)
        if use.utilization is not None:
            self._computed = (self._computed or 0.0) + use.utilization
        if use.around is not None:
            self._around = (self._around or 0.0) + use.around

    def measured(self, outcome: Outcome) -> Outcome:
        """Its outcome with the highest of the figures that its worker said and that were seen here."""
        self.held(outcome.peak_memory)
        self.held_on_gpus(outcome.peak_gpu_memory)
        busy = self._utilization()
        return replace(
            outcome,
            peak_memory=self.peak,
            peak_gpu_memory=self.peak_gpu,
            gpu_utilization=outcome.gpu_utilization if busy is None else busy,
        )

    def _utilization(self) -> float | None:
        """The mean over all looks, percent: while it loads data it computes nothing.

        Where the driver does not name processes, that of the busiest GPU stands in, if the worker says it used one.
        """
        if self._computed is not None:
            return self._computed / self._looks
        if self._around is not None and self.peak_gpu:
            return self._around / self._looks
        return None

    def overdue(self, now: float, limits: Limits) -> str | None:
        """Why the attempt must end, or None."""
        silent = 0.0 if self._since is None else now - self._since
        if limits.report_timeout is not None and silent > limits.report_timeout:
            return f"no report for {silent:.3g} s (report_timeout)"
        if limits.trial_timeout is not None and self._spent + silent > limits.trial_timeout:
            return f"ran for {self._spent + silent:.3g} s (trial_timeout)"
        return None


def lost(reason: str) -> Outcome:
    """The outcome of an attempt whose worker is gone. Whether memory was short is known where the reason says so."""
    short = reason.startswith(EXCEEDED) or oom_killer.WORDS in reason
    return Outcome(Ending.LOST, reason, out_of_memory=short)


def in_words(size: int) -> str:
    """Bytes for people: `1.3 GB`, `250 MB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
