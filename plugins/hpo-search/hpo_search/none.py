"""The trial scheduler `none`: every trial runs to its end."""

from __future__ import annotations

from hpo_core import CONTINUE, Decision, Outcome, Report, Trial


class Never:
    """Never stops a trial."""

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report."""
        return CONTINUE

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when a trial has ended."""
