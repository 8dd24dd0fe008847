"""What a sampler is given, and the step from our distributions to Optuna's.

A sampler is built anew for every trial, with a seed derived from the study's seed and the trial's number. Nothing can
then survive in a sampler that a restart would lose: what it knows comes from the study's history alone, and a study
that was killed and continued proposes what an uninterrupted one would have.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo_core.space import Choice, Distribution, Float, Scalar, Space


@dataclass(frozen=True)
class SamplerContext:
    """What a sampler's factory is called with.

    `seed` differs from trial to trial and is the same whenever this trial is proposed; `study_seed` is the same for
    all trials of a study. Both are below 2**32. `number` is the trial's number.
    """

    seed: int
    study_seed: int
    number: int
    space: Space


class SpaceExhausted(Exception):
    """Raised by a sampler's factory when every point of the space has been proposed.

    Says to the study that there is nothing left to start: it ends before its budget, and that is no failure.
    """


def derive_seed(study_seed: int, *purpose: object) -> int:
    """A seed below 2**32 from the study's seed and a purpose, such as a trial's number and a word."""
    text = "/".join(str(part) for part in (study_seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


def to_optuna(distribution: Distribution) -> BaseDistribution:
    """Our distribution as Optuna's."""
    if isinstance(distribution, Choice):
        return CategoricalDistribution(distribution.labels)
    if isinstance(distribution, Float):
        return FloatDistribution(
            distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    return IntDistribution(
        distribution.low, distribution.high, log=distribution.log, step=distribution.step
    )


def suggest(trial: optuna.Trial, name: str, distribution: Distribution) -> Scalar:
    """A parameter's value from Optuna's trial, of the type that our distribution has."""
    if isinstance(distribution, Choice):
        value: Any = trial.suggest_categorical(name, distribution.labels)
        return value  # type: ignore[no-any-return]  # one of the labels
    if isinstance(distribution, Float):
        return trial.suggest_float(
            name, distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    return trial.suggest_int(
        name, distribution.low, distribution.high, log=distribution.log, step=distribution.step
    )
