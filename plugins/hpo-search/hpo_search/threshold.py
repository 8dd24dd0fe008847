"""The trial scheduler `threshold`: a bound that everybody must have reached by some epoch.

For what is known beforehand, where no comparison with other trials is needed: a classifier of ten classes that is not
above 0.15 after three epochs has not begun to learn. The bound is in the metric's own units, and a trial is stopped at
the first report at or after `epochs` if nothing it has reported so far is as good as the bound.
"""

from __future__ import annotations

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


class Threshold(TrialScheduler):
    """Stops a trial that has not reached a fixed value of the metric in time."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        bound: Annotated[float, Field(description="the worst value of the metric that goes on")],
        epochs: Annotated[int, Field(ge=1, description="epochs to reach it in")] = 1,
    ) -> None:
        self._bound = bound
        self._epochs = epochs
        self._best: dict[int, float] = {}

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report."""
        best = self._best[trial.number] = max(score, self._best.get(trial.number, score))
        bound = self._bound if trial.goal == "maximize" else -self._bound
        if best >= bound or report.step < self._epochs or at_end(trial, report):
            return CONTINUE
        return Decision.stopped(
            f"epoch {report.step}: {shown(trial, report)}, and none before, reaches {self._bound:.4g}"
        )

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when a trial has ended: it will not report again."""
        self._best.pop(trial.number, None)
