"""How much a study may use in all, over every restart; whichever limit is reached first ends it.

Trials are counted when they are started, so never more are started than may be finished. Epochs are granted one by one:
a trial goes on only if its next epoch, and those that other trials are in the middle of, still fit. So both totals are
kept exactly, however many workers there are, as long as an objective reports every epoch. Hours are those that a driver
ran the study; they end a trial at its next report.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpo_core.history import History


@dataclass(frozen=True)
class Budget:
    """The limits; None is no limit. `max_attempts` bounds how often one trial may be lost."""

    trials: int | None = None
    epochs: int | None = None
    hours: float | None = None
    max_attempts: int = 3

    def spent(self, history: History, now: float, others: int) -> str | None:
        """Why no further epoch may begin while `others` are under way, or None."""
        if self.epochs is not None and history.epochs + others >= self.epochs:
            return f"the budget of {self.epochs} epochs is used"
        if self.hours is not None and history.seconds(now) >= self.hours * 3600:
            return f"the budget of {self.hours:g} hours is used"
        return None

    def room(self, history: History) -> bool:
        """Whether another trial may be started."""
        return self.trials is None or len(history.trials) < self.trials
