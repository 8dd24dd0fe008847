"""CMA-ES by replay: the state of the search is worked out anew from the study's history for every trial.

Optuna's own CmaEsSampler keeps its state as pickles in the study's storage and unpickles them to go on, so whoever
can write to the database can run code in the driver. The history holds all that is needed: every trial remembers its
generation, and telling the generations in their order gives the same mean, step size and covariance again. That takes
about 0.04 ms for each trial of the history. Trials stopped early count with the best value they had; only ranks
matter to CMA-ES.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from cmaes import CMA
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo_core import Choice, Float, Int
from hpo_core.sampling import SamplerContext, to_optuna
from hpo_search import _unit

GENERATION = "cma-es:generation"
"""The system attribute of a trial that says which generation's distribution it was drawn from."""

STEP_SIZE = 1 / 6
"""Sigma of the first generation in the unit cube, whose middle is the first mean: 3 sigma reach the walls."""


class CmaEsSampler(BaseSampler):
    """Searches the numbers that every trial has by CMA-ES, and leaves the rest to chance."""

    def __init__(self, context: SamplerContext, population_size: int | None) -> None:
        self._numbers = _numbers(context)
        self._population_size = population_size
        self._seed = context.seed
        self._rest = RandomSampler(seed=context.seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The numbers, known from the study file."""
        return {name: to_optuna(distribution) for name, distribution in self._numbers.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A draw from the distribution that the history leads to."""
        if not search_space:
            return {}
        search = self._replay(study)
        study._storage.set_trial_system_attr(trial._trial_id, GENERATION, search.generation)
        places = search.ask()  # (dimensions,)
        return {
            name: _unit.from_unit(distribution, float(place))
            for (name, distribution), place in zip(self._numbers.items(), places, strict=True)
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A uniform draw: of a choice, or of what exists only under one."""
        return self._rest.sample_independent(study, trial, param_name, param_distribution)

    def _replay(self, study: Study) -> CMA:
        """The search after all complete generations. Only `ask` uses its seed, so each trial can have its own."""
        dimensions = len(self._numbers)
        search = CMA(
            mean=np.full(dimensions, 0.5),
            sigma=STEP_SIZE,
            bounds=np.tile([0.0, 1.0], (dimensions, 1)),
            n_max_resampling=10 * dimensions,
            seed=self._seed,
            population_size=self._population_size,
        )
        sign = -1.0 if study.direction is StudyDirection.MAXIMIZE else 1.0
        generations = _generations(study)
        while len(told := generations.get(search.generation, [])) >= search.population_size:
            search.tell(
                [
                    (self._places(trial), sign * trial.values[0])
                    for trial in told[: search.population_size]
                ]
            )
        return search

    def _places(self, trial: FrozenTrial) -> np.ndarray[Any, np.dtype[np.float64]]:
        """A trial's numbers in the unit cube (dimensions,)."""
        return np.array(
            [
                _unit.to_unit(distribution, trial.params[name])
                for name, distribution in self._numbers.items()
            ]
        )


def _numbers(context: SamplerContext) -> dict[str, Float | Int]:
    """The numbers that every trial has and that can vary."""
    parameters = context.space.parameters()
    choices = [f"{name}." for name, found in parameters.items() if isinstance(found, Choice)]
    return {
        name: found
        for name, found in parameters.items()
        if not isinstance(found, Choice)
        and _unit.cells(found) != 1
        and not name.startswith(tuple(choices))
    }


def _generations(study: Study) -> dict[int, list[FrozenTrial]]:
    """Trials that have a value by their generation, in the order in which they ended.

    By their numbers, a slow trial that ends late would push another one out of a generation already told. A trial that
    is shown with a value before it has ended comes last.
    """
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    generations: dict[int, list[FrozenTrial]] = {}
    for trial in sorted(
        ended, key=lambda trial: (trial.datetime_complete or datetime.max, trial.number)
    ):
        generation = trial.system_attrs.get(GENERATION)
        if trial.values and generation is not None:
            generations.setdefault(generation, []).append(trial)
    return generations
