"""The trial scheduler `percentile`: the median stopping rule with another share than a half, over best scores.

A generalisation of Golovin et al., "Google Vizier" (KDD 2017, section 3.2.1), as Optuna's `PercentilePruner` has it: at
every epoch s a trial goes on only if the best score that it has reached by s is among the best `keep` percent of the
best scores that the trials had by their own epoch s. `keep: 50` is much like `median`, which compares with running
averages instead; less is stricter.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from math import ceil
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


class Percentile(TrialScheduler):
    """Stops a trial whose best score is not among the best so many percent at its epoch."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        keep: Annotated[float, Field(gt=0, lt=100, description="percent that go on")] = 50.0,
        min_epochs: Annotated[int, Field(ge=1, description="epochs that every trial gets")] = 1,
        min_trials: Annotated[
            int, Field(ge=1, description="other trials that must have got as far to compare with")
        ] = 4,
    ) -> None:
        self._keep = keep
        self._min_epochs = min_epochs
        self._min_trials = min_trials
        self._best: dict[int, float] = {}
        self._columns: dict[int, list[float]] = {}  # best scores by epoch, ascending

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; the trial is one of those it is ranked among."""
        best = self._best[trial.number] = max(score, self._best.get(trial.number, score))
        column = self._columns.setdefault(report.step, [])
        insort(column, best)
        if report.step < self._min_epochs or at_end(trial, report):
            return CONTINUE
        better = len(column) - bisect_right(column, best)  # equals go on together
        places = ceil(len(column) * self._keep / 100)
        if len(column) <= self._min_trials or better < places:
            return CONTINUE
        return Decision.stopped(
            f"epoch {report.step}: {shown(trial, report)}, and none before, is among the best "
            f"{places} of {len(column)}"
        )

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when a trial has ended: it will not report again. What it reached stays to compare with."""
        self._best.pop(trial.number, None)
