"""The trial scheduler `hyperband`: several brackets of successive halving, asynchronous.

Hyperband (Li et al., JMLR 2018, arXiv 1603.06560) hedges against rungs that come too early: it runs successive halving
in brackets s = s_max, ..., 0 with s_max = floor(log_eta(R / r)); bracket s has its first rung at R * eta**-s epochs and
begins with n = ceil((s_max + 1) / (s + 1) * eta**s) trials, and the last one, s = 0, stops nothing. The asynchronous
version (section 3.3 of Li et al., 2018, arXiv 1810.05934; Klein et al., 2020, arXiv 2003.10865) runs all brackets side
by side: a new trial is put into the bracket s with a probability proportional to n, and there it is treated as by
`asha` (`variant: stopping`, no checkpoints needed) or by `asha-promotion` (`variant: promotion`).

`min_epochs` is r, `reduction_factor` is eta, `max_epochs` is R. `brackets` keeps only the first so many, those with the
earliest rungs; where R is not known (no `max_epochs`, and an objective without `epochs`) there is one unless it is
given. The reasons of decisions count brackets from 0, the one with the earliest rungs.

The bracket of a trial is a function of the study's seed and the trial's number.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from hpo_core import (
    Decision,
    Next,
    Outcome,
    Report,
    SchedulerContext,
    Start,
    Trial,
    TrialScheduler,
    Wait,
)
from hpo_search._rungs import Factor, MaxEpochs, MinEpochs
from hpo_search.asha import Asha
from hpo_search.asha_promotion import AshaPromotion

Brackets = Annotated[
    int | None,
    Field(ge=1, description="only so many, those with the earliest rungs; null: as many as fit"),
]
Variant = Annotated[
    Literal["stopping", "promotion"],
    Field(description="stop trials at rungs, or pause them (which needs checkpoints)"),
]


class Hyperband(TrialScheduler):
    """Puts trials into brackets, whose rungs begin at different epochs."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        min_epochs: MinEpochs = 1,
        reduction_factor: Factor = 3,
        max_epochs: MaxEpochs = None,
        brackets: Brackets = None,
        variant: Variant = "stopping",
    ) -> None:
        self._context = context
        self._first = min_epochs
        self._factor = reduction_factor
        self._end = max_epochs
        self._count = brackets
        self._variant = variant
        self._brackets: dict[int, Asha | AshaPromotion] = {}  # by the number of rungs left out
        self._bracket_of: dict[int, int] = {}

    def on_start(self, trial: Trial) -> None:
        """Called when an attempt begins."""
        self._bracket(trial).on_start(trial)

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; the trial's bracket decides."""
        decision = self._bracket(trial).on_report(trial, report, score)
        if not decision.stop:
            return decision
        bracket = self._bracket_of[trial.number]
        return replace(decision, reason=f"bracket {bracket}, {decision.reason}")

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when an attempt has ended."""
        self._bracket(trial).on_finish(trial, outcome)

    def next(self, room: bool) -> Next:
        """The promotion from the highest rung of any bracket, else a new trial."""
        offers = []
        for number, bracket in self._brackets.items():
            if isinstance(bracket, AshaPromotion) and (offer := bracket.promotion()):
                offers.append((offer[0], -number, offer[1]))
        if offers:
            _, bracket_number, resume = max(offers, key=lambda offer: offer[:2])
            return replace(resume, reason=f"bracket {-bracket_number}, {resume.reason}")
        return Start() if room else Wait()

    def _bracket(self, trial: Trial) -> Asha | AshaPromotion:
        number = self._bracket_of.get(trial.number)
        if number is None:
            number = self._bracket_of[trial.number] = self._choose(trial)
        if number not in self._brackets:
            build = Asha if self._variant == "stopping" else AshaPromotion
            self._brackets[number] = build(
                self._context,
                min_epochs=self._first * self._factor**number,
                reduction_factor=self._factor,
                max_epochs=self._end,
            )
        return self._brackets[number]

    def _choose(self, trial: Trial) -> int:
        """A bracket for a new trial: how many of the first rungs it leaves out."""
        from hpo_core.sampling import (
            derive_seed,
        )  # imports optuna, which a scheduler's module must not

        shares = list(accumulate(self._sizes(self._end or trial.epochs)))
        dice = random.Random(derive_seed(self._context.seed, trial.number, "bracket"))
        return bisect_right(shares, dice.random() * shares[-1])

    def _sizes(self, end: int | None) -> list[int]:
        """n of each bracket, the one with the earliest rungs first; R is `end`."""
        most = (self._count or 1) - 1  # s_max
        if end is not None:
            most = 0
            while self._first * self._factor ** (most + 1) <= end:
                most += 1
        sizes = [ceil((most + 1) * self._factor**s / (s + 1)) for s in range(most, -1, -1)]
        return sizes[: self._count]
