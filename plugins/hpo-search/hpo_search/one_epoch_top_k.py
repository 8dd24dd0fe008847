"""The trial scheduler `one-epoch-top-k`: train all for one epoch, then only the best k to the end.

Egele et al., "Is One Epoch All You Need For Multi-Fidelity Hyperparameter Optimization?" (ESANN 2023, arXiv
2307.15422): on common benchmarks this beats successive halving and Hyperband on cost for the same final quality, so it
is the baseline for all the others here. `epochs` is the 1 of the title, `top` is k.

It has to know when there are no more trials to come: it starts new ones as long as the study's budget has room for
them, so give the study a budget of `trials`. When that is used up and every trial has had its first epoch, the best k
are resumed from their checkpoints. One of these that fails makes room for the next best.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo_core import (
    CONTINUE,
    Decision,
    Ending,
    Next,
    Outcome,
    Report,
    Resume,
    SchedulerContext,
    Start,
    Trial,
    TrialScheduler,
    Wait,
)
from hpo_search._horizon import at_end, shown
from hpo_search._rungs import Rung


class OneEpochTopK(TrialScheduler):
    """Pauses every trial after its first epoch and resumes the best k when all have had theirs."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        epochs: Annotated[int, Field(ge=1, description="epochs that every trial gets")] = 1,
        top: Annotated[int, Field(ge=1, description="trials that are trained to the end")] = 3,
    ) -> None:
        self._epochs = epochs
        self._top = top
        self._rung = Rung()
        self._young: set[int] = set()  # running, and not yet compared
        self._held: set[int] = set()

    def on_start(self, trial: Trial) -> None:
        """Called when an attempt begins; a trial that is paused goes on to its end."""
        if trial.number not in self._rung.keys:
            self._young.add(trial.number)
        elif self._rung.waits(trial.number):
            self._rung.leave(trial.number)
            self._held.remove(trial.number)

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report."""
        if report.step < self._epochs:
            return CONTINUE
        if trial.number not in self._rung.keys:
            self._rung.add(trial.number, score)
            self._held.add(trial.number)
            self._young.discard(trial.number)
        if trial.number not in self._held or at_end(trial, report):
            return CONTINUE
        return Decision.paused(
            f"epoch {report.step}: {shown(trial, report)}, and only the best {self._top} of all go on"
        )

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when an attempt has ended."""
        self._young.discard(trial.number)
        if outcome.ending is Ending.PAUSED:
            if trial.number in self._held:
                self._rung.wait(trial.number)
            return
        self._held.discard(trial.number)
        if outcome.ending is Ending.FAILED:
            self._rung.remove(trial.number)
        elif trial.number in self._rung.keys:
            self._rung.leave(trial.number)

    def next(self, room: bool) -> Next:
        """A new trial while there is room; then, once all have been compared, the best that waits."""
        if room:
            return Start()
        number = None if self._young else self._rung.best_waiting(self._top)
        if number is None:
            return Wait()
        rank, total = self._rung.rank(number), len(self._rung)
        return Resume(number, f"number {rank} of {total} after epoch {self._epochs}")
