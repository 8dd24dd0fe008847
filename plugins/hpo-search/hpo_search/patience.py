"""The trial scheduler `patience`: early stopping within a trial, which is compared with nothing but itself."""

from __future__ import annotations

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


@dataclass(frozen=True)
class _Best:
    """The last improvement of a trial: the score to beat, when it was reached, and how people know it."""

    score: float
    step: int
    shown: str


class Patience(TrialScheduler):
    """Stops a trial that has not improved for some epochs."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        epochs: Annotated[
            int, Field(ge=1, description="epochs without improvement to wait for")
        ] = 5,
        min_delta: Annotated[
            float, Field(ge=0, description="what counts as improvement must be larger than this")
        ] = 0.0,
    ) -> None:
        self._epochs = epochs
        self._min_delta = min_delta
        self._best: dict[int, _Best] = {}

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; the wait is counted in epochs, however often the trial reports."""
        best = self._best.get(trial.number)
        if best is None or score > best.score + self._min_delta:
            self._best[trial.number] = _Best(score, report.step, shown(trial, report))
            return CONTINUE
        if report.step - best.step < self._epochs or at_end(trial, report):
            return CONTINUE
        return Decision.stopped(
            f"no improvement on {best.shown} of epoch {best.step} in {report.step - best.step} epochs"
        )

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when a trial has ended: it will not report again."""
        self._best.pop(trial.number, None)
