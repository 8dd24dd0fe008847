"""The sampler `ranked-gp`: random draws, two in three of them picked by a light model.

The model is a Gaussian process (`_gaussian`) of the trials' ranks (`_ranking`), turned into normal scores: the best of
n trials has the normal quantile of 0.5 / n. Ranks are all that can be said of trials which were trained for different
numbers of epochs, and they are not impressed by losses of 1e9.

What looks best after a few epochs may be far from what is best in the end, so the model is kept on a long lead. Of its
`CANDIDATES` random points it takes the one with the largest expected improvement (Jones et al., 1998), and it does not
climb from there: on trials that were mostly stopped early, polishing the best of them finds more of the same. And a
third of the trials stays random, rho of BOHB (Falkner et al., 2018).

To take the same time for any number of trials it learns from the `HALF` best, and from as many drawn at random from
the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtr, ndtri

from hpo_core.sampling import SamplerContext
from hpo_search._cube import Cube, Floats
from hpo_search._gaussian import Gaussian
from hpo_search._point import PointSampler
from hpo_search._ranking import ranked

HALF = 50
CANDIDATES = 400


class RankedGp(PointSampler):
    """Proposes one point, worked out when the trial begins."""

    def __init__(self, context: SamplerContext, startup_trials: int, random_share: float) -> None:
        super().__init__({})
        self._cube = Cube(context.space)
        self._startup = startup_trials
        self._random_share = random_share
        self._dice = np.random.default_rng(context.seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Called by Optuna before it asks for the trial's parameters."""
        self._point = self._cube.point(self._propose(study))

    def _propose(self, study: Study) -> Floats:
        """The places of the proposal (parameters,)."""
        anywhere = self._dice.random((CANDIDATES, len(self._cube)))
        if self._dice.random() < self._random_share:
            return _row(anywhere, 0)
        trials = study.get_trials(deepcopy=False)
        results = ranked(trials, study.direction)
        if len(results) < self._startup or not len(self._cube.owners):
            return _row(anywhere, 0)
        model = self._fit(results).believing(self._features(_running(trials, results)))
        mean, deviation = model.predict(self._cube.features(anywhere))
        improvement = _expected_improvement(mean, deviation, float(_score(0, len(results))))
        return _row(anywhere, int(improvement.argmax()))

    def _fit(self, results: list[FrozenTrial]) -> Gaussian:
        """The model of the results, which come best first."""
        best, others = np.split(np.arange(len(results)), [HALF])
        ranks = np.concatenate([best, self._dice.permutation(others)[:HALF]])
        points = self._features([results[rank] for rank in ranks])
        return Gaussian.fit(points, _score(ranks, len(results)), self._cube.owners, self._dice)

    def _features(self, trials: list[FrozenTrial]) -> Floats:
        return self._cube.features(self._cube.places([trial.params for trial in trials]))


def _row(places: Floats, index: int) -> Floats:
    found: Floats = places[index]
    return found


def _running(trials: list[FrozenTrial], results: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials whose results are still to come."""
    known = {trial.number for trial in results}
    running = (trial for trial in trials if trial.state is TrialState.RUNNING and trial.params)
    return [trial for trial in running if trial.number not in known]


def _score(ranks: Any, count: int) -> Any:
    """The normal scores of ranks, from 0, among `count`."""
    return ndtri((ranks + 0.5) / count)


def _expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """EI below `best`, up to the factor that all have in common."""
    z = (best - mean) / deviation
    improvement: Floats = deviation * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return improvement
