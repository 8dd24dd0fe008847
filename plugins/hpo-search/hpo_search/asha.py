"""The trial scheduler `asha`: asynchronous successive halving by stopping.

From Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020, arXiv 1810.05934). There, rung k
stands at r * eta**(s + k) epochs, and a trial is promoted from a rung if it is among the best 1/eta of those that got
there. Algorithm 2 pauses trials at a rung until they deserve promotion (`asha-promotion`); in the stopping variant a
trial that is not among the best 1/eta *so far* is stopped, which needs no checkpoints and never waits. Early arrivals
are judged leniently, since there is little to compare them with: the best one so far always goes on.

`min_epochs` is r * eta**s, `reduction_factor` is eta, `max_epochs` is R. Rungs at or behind R are left out: there is
nothing left to save.
"""

from __future__ import annotations

from bisect import insort

from hpo_core import CONTINUE, Decision, Report, SchedulerContext, Trial, TrialScheduler
from hpo_search._horizon import shown
from hpo_search._rungs import Factor, Ladder, MaxEpochs, MinEpochs


class Asha(TrialScheduler):
    """Stops a trial at a rung unless it is among the best 1/eta that have got there."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        min_epochs: MinEpochs = 1,
        reduction_factor: Factor = 3,
        max_epochs: MaxEpochs = None,
    ) -> None:
        self._ladder = Ladder(min_epochs, reduction_factor, max_epochs)
        self._rungs: dict[int, list[float]] = {}  # scores by the rung's epochs, ascending
        self._judged: dict[int, int] = {}  # the highest rung at which a trial was judged, by number

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; a rung is reached by the first report at or behind it.

        Where a report skips rungs only the highest counts: a later epoch's score would be unfair at an earlier rung.
        """
        rung = self._ladder.reached(trial, report)
        if rung is None or rung <= self._judged.get(trial.number, 0):
            return CONTINUE
        self._judged[trial.number] = rung
        scores = self._rungs.setdefault(rung, [])
        insort(scores, score)
        best = max(1, len(scores) // self._ladder.factor)
        if score >= scores[-best]:  # equals go on together
            return CONTINUE
        among = f"the best {best} of {len(scores)}" if best > 1 else f"the best of {len(scores)}"
        return Decision.stopped(f"rung {rung}: {shown(trial, report)} is not among {among}")
