"""The trial scheduler `delayed-asha`: `asha-promotion` that never promotes more than one in eta.

D-ASHA of Li et al., "Hyper-Tune: Towards Efficient Hyper-parameter Tuning at Scale" (VLDB 2022, arXiv 2201.06834). In
ASHA a trial is promoted as soon as it is among the best 1/eta of its rung so far. While the sampler gets better every
newcomer is, and those that it overtakes have been promoted already: most trials are then trained to the end, and few
new ones are started. Here a promotion from rung k also waits until |D_k| / (|D_k+1| + 1) >= eta, where |D_k+1| counts
the trials that have been promoted from rung k: so many of them as in synchronous halving, at any time.
"""

from __future__ import annotations

from hpo_core import Ending, Outcome, SchedulerContext, Trial
from hpo_search._rungs import Factor, MaxEpochs, MinEpochs
from hpo_search.asha_promotion import AshaPromotion


class DelayedAsha(AshaPromotion):
    """Pauses trials at rungs and promotes the best of each, as many as one in eta."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        min_epochs: MinEpochs = 2,
        reduction_factor: Factor = 4,
        max_epochs: MaxEpochs = None,
    ) -> None:
        super().__init__(
            context,
            min_epochs=min_epochs,
            reduction_factor=reduction_factor,
            max_epochs=max_epochs,
        )
        self._promoted: dict[int, set[int]] = {}  # numbers of trials by the rung that they left

    def on_start(self, trial: Trial) -> None:
        """Called when an attempt begins: a trial that was paused at a rung has been promoted."""
        rung = self._held.get(trial.number)
        if rung is not None and self._rungs[rung].waits(trial.number):
            self._promoted.setdefault(rung, set()).add(trial.number)
        super().on_start(trial)

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when an attempt has ended; one that failed makes room for another."""
        super().on_finish(trial, outcome)
        if outcome.ending is Ending.FAILED:
            for promoted in self._promoted.values():
                promoted.discard(trial.number)

    def may_promote(self, rung: int) -> bool:
        """|D_k| / (|D_k+1| + 1) >= eta."""
        promoted = len(self._promoted.get(rung, ()))
        return len(self._rungs[rung]) >= self._ladder.factor * (promoted + 1)
