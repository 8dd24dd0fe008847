"""The trial scheduler `asha-promotion`: asynchronous successive halving by promotion of paused trials.

Algorithm 2 of Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020, arXiv 1810.05934): a
trial that reaches a rung pauses there. Whoever has a worker to spare (`get_job`) looks at the rungs from the top down;
a paused trial that is among the best 1/eta of its rung and was not promoted yet goes on to the next one; where there is
none a new trial is started in the lowest rung. Unlike in `asha` a trial is never stopped by being early or late, and a
good one that was overtaken by chance gets its turn when more have arrived. It needs an objective with checkpoints.

`min_epochs` is r * eta**s, `reduction_factor` is eta, `max_epochs` is R, the number of trials that got to a rung is
`|rung k|`. Rungs at or behind R are left out: trials run from the last rung to their end.
"""

from __future__ import annotations

from hpo_core import (
    CONTINUE,
    Decision,
    Ending,
    Next,
    Outcome,
    Report,
    Resume,
    SchedulerContext,
    Start,
    Trial,
    TrialScheduler,
    Wait,
)
from hpo_search._horizon import shown
from hpo_search._rungs import Factor, Ladder, MaxEpochs, MinEpochs, Rung


class AshaPromotion(TrialScheduler):
    """Pauses trials at rungs and promotes the best 1/eta of each."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        min_epochs: MinEpochs = 1,
        reduction_factor: Factor = 3,
        max_epochs: MaxEpochs = None,
    ) -> None:
        self._ladder = Ladder(min_epochs, reduction_factor, max_epochs)
        self._rungs: dict[int, Rung] = {}  # by epochs
        self._reached: dict[int, int] = {}  # the highest rung of each trial
        self._held: dict[int, int] = {}  # the rungs of those trials that wait for promotion

    def on_start(self, trial: Trial) -> None:
        """Called when an attempt begins: for a trial that is paused at a rung this is its promotion.

        Not so for one whose worker was lost while it was pausing: it is to pause still.
        """
        rung = self._held.get(trial.number)
        if rung is not None and self._rungs[rung].waits(trial.number):
            self._rungs[rung].leave(trial.number)
            del self._held[trial.number]

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; a rung is reached by the first report at or behind it."""
        reached = self._ladder.reached(trial, report)
        if reached is None:
            return CONTINUE
        if reached > self._reached.get(trial.number, 0):
            self._arrive(trial.number, reached, score)
        if trial.number not in self._held:
            return CONTINUE
        rung = self._rungs[reached]
        rank, share = rung.rank(trial.number), self._ladder.factor
        return Decision.paused(
            f"rung {reached}: {shown(trial, report)} is number {rank} of {len(rung)}, "
            f"and one in {share} goes on"
        )

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when an attempt has ended; only now a paused trial can be promoted."""
        held = self._held.get(trial.number)
        if outcome.ending is Ending.PAUSED:
            if held is not None:
                self._rungs[held].wait(trial.number)
            return
        if held is not None:
            self._rungs[held].leave(trial.number)
            del self._held[trial.number]
        if outcome.ending is Ending.FAILED:
            for rung in self._rungs.values():
                rung.remove(trial.number)

    def next(self, room: bool) -> Next:
        """The highest promotion that is due, else a new trial; `get_job` of the paper."""
        promotion = self.promotion()
        if promotion is not None:
            return promotion[1]
        return Start() if room else Wait()

    def promotion(self) -> tuple[int, Resume] | None:
        """The promotion from the highest rung that has one to offer, with that rung."""
        for epochs in sorted(self._rungs, reverse=True):
            rung = self._rungs[epochs]
            places = len(rung) // self._ladder.factor
            number = rung.best_waiting(places) if self.may_promote(epochs) else None
            if number is not None:
                return epochs, Resume(
                    number, f"rung {epochs}: among the best {places} of {len(rung)}"
                )
        return None

    def may_promote(self, rung: int) -> bool:
        """Whether trials may go beyond a rung at all. Here always."""
        return True

    def _arrive(self, number: int, rung: int, score: float) -> None:
        held = self._held.get(number)  # where it should have paused, had its worker not been lost
        if held is not None:
            self._rungs[held].leave(number)
        self._rungs.setdefault(rung, Rung()).add(number, score)
        self._reached[number] = self._held[number] = rung
