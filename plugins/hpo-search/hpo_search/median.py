"""The trial scheduler `median`: Google Vizier's median stopping rule (Golovin et al., 2017, section 3.2.1).

It stops trial x at step s if the best objective value that x has reached by step s is strictly worse than the median
of the running averages o_{1:s} of the other trials, over their objectives reported up to step s. It assumes no shape
of learning curve and has next to nothing to set. Unlike in the paper the others need not be completed: it is enough
that they have got as far as step s, so that the rule works from the first epochs of a study on.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from hpo_core import (
    CONTINUE,
    Decision,
    Outcome,
    Report,
    SchedulerContext,
    Trial,
    TrialScheduler,
)
from hpo_search._horizon import at_end, shown


@dataclass
class _Curve:
    """What a trial has reported so far: how often, until which step, the mean of the scores and the best of them."""

    reports: int = 0
    step: int = 0
    mean: float = 0.0
    best: float = float("-inf")

    def add(self, step: int, score: float) -> None:
        self.reports += 1
        self.step = step
        # not from a sum: the mean of equal scores must be that score, or a plateau would be below its own median
        self.mean = self.mean + (score - self.mean) / self.reports if self.reports > 1 else score
        self.best = max(self.best, score)


class Median(TrialScheduler):
    """Stops a trial whose best score is below the median of the others' running averages."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        min_epochs: Annotated[int, Field(ge=1, description="epochs that every trial gets")] = 1,
        min_trials: Annotated[
            int, Field(ge=1, description="other trials that must have got as far to compare with")
        ] = 4,
    ) -> None:
        self._min_epochs = min_epochs
        self._min_trials = min_trials
        self._curves: dict[int, _Curve] = {}  # of those that have not ended
        self._averages: dict[int, list[float]] = {}  # of all that got to a step, ascending

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; the trial's own curve includes this report, the others' averages do not."""
        own = self._curves.setdefault(trial.number, _Curve())
        if (
            own.reports
        ):  # at the steps that it did not report its average was what it had been before
            for skipped in range(own.step + 1, report.step):
                insort(self._averages.setdefault(skipped, []), own.mean)
        own.add(report.step, score)
        others = self._averages.setdefault(report.step, [])
        decision = self._compare(trial, report, own.best, others)
        insort(others, own.mean)
        return decision

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when a trial has ended; its averages stay, for others to be compared with."""
        self._curves.pop(trial.number, None)

    def _compare(self, trial: Trial, report: Report, best: float, others: list[float]) -> Decision:
        if report.step < self._min_epochs or at_end(trial, report):
            return CONTINUE
        if len(others) < self._min_trials or best >= (middle := _median(others)):
            return CONTINUE
        turned = middle if trial.goal == "maximize" else -middle
        return Decision.stopped(
            f"epoch {report.step}: {shown(trial, report)}, and none before, reaches the median "
            f"{turned:.4g} of {len(others)} others"
        )


def _median(ascending: list[float]) -> float:
    """The median of sorted numbers (`statistics.median` would sort them again)."""
    middle = len(ascending) // 2
    if len(ascending) % 2:
        return ascending[middle]
    return (ascending[middle - 1] + ascending[middle]) / 2
