"""A sampler that proposes one point, which was worked out beforehand: the shell around `grid` and `qmc`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from hpo_core import Scalar


class PointSampler(BaseSampler):
    """Proposes the values of `point`, by dotted name; names that a trial does not ask for are left alone."""

    def __init__(self, point: Mapping[str, Scalar]) -> None:
        self._point = point

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: parameters are asked for one by one, as the tree of the space unfolds."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, for the same reason."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The point's value. Raises KeyError for a parameter that its space does not have."""
        return self._point[param_name]
