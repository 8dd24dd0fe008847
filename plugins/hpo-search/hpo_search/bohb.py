"""The trial scheduler `bohb`: Hyperband whose sampler learns from the highest rung that has enough results.

Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML 2018, arXiv 1807.01774). A model
that is given each trial's last score compares trials after 1 epoch with trials after 27 and learns mostly who was
trained for long. BOHB fits its model to the results of one budget b alone: the largest with |D_b| >= N_min + 2, where
N_min is d + 1 for d parameters. Trials are stopped or paused as by `hyperband`, whose options these are.

`min_points` is N_min (null: d + 1). Until the lowest rung has N_min + 2 results a model has nothing to learn from.
The model is the study's sampler: `sampler: tpe` makes it BOHB. Its share of random proposals (rho in the paper) is the
sampler's business. With `brackets: 1` and `variant: promotion` it is what MOBSTER (Klein et al., 2020, arXiv
2003.10865) does with rungs.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field

from hpo_core import Decision, Report, SchedulerContext, Trial
from hpo_search._horizon import at_end
from hpo_search._rungs import Factor, Ladder, MaxEpochs, MinEpochs
from hpo_search.hyperband import Brackets, Hyperband, Variant

MinPoints = Annotated[
    int | None,
    Field(
        ge=1, description="results, less two, that a rung needs; null: one per parameter and one"
    ),
]


class Bohb(Hyperband):
    """Hyperband that says which epoch's scores a model should learn from."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        min_epochs: MinEpochs = 1,
        reduction_factor: Factor = 3,
        max_epochs: MaxEpochs = None,
        brackets: Brackets = None,
        variant: Variant = "stopping",
        min_points: MinPoints = None,
    ) -> None:
        super().__init__(
            context,
            min_epochs=min_epochs,
            reduction_factor=reduction_factor,
            max_epochs=max_epochs,
            brackets=brackets,
            variant=variant,
        )
        self._enough = (min_points or len(context.space.parameters()) + 1) + 2
        self._all_rungs = Ladder(min_epochs, reduction_factor, max_epochs)
        self._counted: dict[int, int] = {}  # the highest rung at which each trial was counted
        self._results: Counter[int] = Counter()  # by the epoch of the reports that reached a rung
        self._fidelity = min_epochs

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; results count in every bracket alike, and at a trial's last epoch too."""
        rung = self._all_rungs.reached(trial, report)
        if rung is not None and rung > self._counted.get(trial.number, 0):
            self._counted[trial.number] = rung
            self._count_result(report.step)
        elif at_end(trial, report):
            self._count_result(report.step)
        return super().on_report(trial, report, score)

    def fidelity(self) -> int:
        """b: the latest epoch at which a rung, or a trial's end, has enough results; else the first rung."""
        return self._fidelity

    def _count_result(self, step: int) -> None:
        self._results[step] += 1
        if self._results[step] >= self._enough:
            self._fidelity = max(self._fidelity, step)
