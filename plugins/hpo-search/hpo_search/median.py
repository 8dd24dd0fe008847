"""The trial scheduler `median`: Google Vizier's median stopping rule (Golovin et al., 2017, section 3.2.1).

It stops trial x at step s if the best objective value that x has reached by step s is strictly worse than the median
of the running averages o_{1:s} of the other trials, over their objectives reported up to step s. It assumes no shape
of learning curve and has next to nothing to set. Unlike in the paper the others need not be completed: it is enough
that they have got as far as step s, so that the rule works from the first epochs of a study on.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated

from pydantic import Field

from hpo_core import CONTINUE, Decision, Outcome, Report, Trial
from hpo_search._horizon import at_end, shown


@dataclass
class _Curve:
    """What a trial has reported: its steps, the mean of scores up to each, and the best of them all."""

    steps: list[int] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    best: float = float("-inf")

    def add(self, step: int, score: float) -> None:
        mean = self.means[-1] if self.means else score
        self.steps.append(step)
        # not from a sum: the mean of equal scores must be that score, or a plateau would be below its own median
        self.means.append(mean + (score - mean) / len(self.steps))
        self.best = max(self.best, score)

    def average(self, step: int) -> float | None:
        """The mean of the scores up to `step`, or None while the trial has not got that far."""
        if self.steps[-1] < step:
            return None
        reports = bisect_right(self.steps, step)
        return self.means[reports - 1] if reports else None


class Median:
    """Stops a trial whose best score is below the median of the others' running averages."""

    def __init__(
        self,
        *,
        min_epochs: Annotated[int, Field(ge=1, description="epochs that every trial gets")] = 1,
        min_trials: Annotated[
            int, Field(ge=1, description="other trials that must have got as far to compare with")
        ] = 4,
    ) -> None:
        self._min_epochs = min_epochs
        self._min_trials = min_trials
        self._curves: dict[int, _Curve] = {}

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; the trial's own curve includes this report."""
        own = self._curves.setdefault(trial.number, _Curve())
        own.add(report.step, score)
        if report.step < self._min_epochs or at_end(trial, report):
            return CONTINUE
        others = self._averages(trial.number, report.step)
        if len(others) < self._min_trials or own.best >= (middle := median(others)):
            return CONTINUE
        turned = middle if trial.goal == "maximize" else -middle
        return Decision.stopped(
            f"epoch {report.step}: {shown(trial, report)}, and none before, reaches the median "
            f"{turned:.4g} of {len(others)} others"
        )

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when a trial has ended; its curve stays, for others to be compared with."""

    def _averages(self, number: int, step: int) -> list[float]:
        averages = (curve.average(step) for other, curve in self._curves.items() if other != number)
        return [average for average in averages if average is not None]
