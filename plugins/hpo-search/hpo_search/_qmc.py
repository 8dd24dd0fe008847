"""Points of a low-discrepancy sequence as functions of the trial's number.

Optuna's own QMCSampler counts its points in the study, takes its space from the first trial, which it draws at
random, and leaves conditional parameters to chance. Here every parameter that the tree can have owns a coordinate,
also those of alternatives that a trial does not take; a coordinate is ignored where its parameter does not exist, and
what is left of an even sequence is even. Nothing needs to be counted or stored.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.stats import qmc

from hpo_core import Scalar, Space
from hpo_search import _unit


def point(
    space: Space, sequence: Literal["sobol", "halton"], number: int, seed: int, scramble: bool
) -> dict[str, Scalar]:
    """The values of point `number`, from 0, for every parameter that a trial can have."""
    parameters = space.parameters()
    if not parameters:
        return {}
    kind = qmc.Sobol if sequence == "sobol" else qmc.Halton
    engine = kind(len(parameters), scramble=scramble, rng=np.random.default_rng(seed))
    if number > 0:  # Sobol's engine cannot go forward by nothing
        engine.fast_forward(number)
    places = engine.random(1)[0]  # (dimensions,)
    return {
        name: _unit.from_unit(distribution, float(place))
        for (name, distribution), place in zip(parameters.items(), places, strict=True)
    }
