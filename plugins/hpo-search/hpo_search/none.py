"""The trial scheduler `none`: every trial runs to its end."""

from __future__ import annotations

from hpo_core import CONTINUE, Decision, Report, SchedulerContext, Trial, TrialScheduler


class Never(TrialScheduler):
    """Never stops a trial."""

    def __init__(self, context: SchedulerContext) -> None:
        pass

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report."""
        return CONTINUE
