"""Stochastic weight averaging (Izmailov et al. 2018): a decay, then a constant rate at which weights are averaged.

What is built has an attribute `average_from` = s, the step from which the objective averages weights, with torch's
`torch.optim.swa_utils` (see `hpo_core.contracts`). The originals gave torch's `SWALR` an option that it does not have,
and never averaged.

Below s = ⌊swa_start T⌉ is at most T-1, r = `swa_ratio`, and A = ⌊anneal T⌉ is the number of steps in which the rate
goes over from what it was at s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float
from hpo_torch.lr_schedulers.curve import done, follow, half_wave, steps

SwaStart = Annotated[
    float,
    Field(gt=0, lt=1, description="Fraction of the run before weights are averaged."),
    Float(0.5, 0.9),
]
SwaRatio = Annotated[
    float,
    Field(
        gt=0, le=1, description="The rate while weights are averaged, as a part of the full rate."
    ),
    Float(0.1, 1),
]
Anneal = Annotated[
    float, Field(gt=0, lt=1, description="Fraction of the run in which the rate goes over to that.")
]


def swa_cosine(
    optimizer: Any,
    total_steps: int,
    *,
    swa_start: SwaStart = 0.75,
    swa_ratio: SwaRatio = 0.5,
    anneal: Anneal = 0.05,
) -> Any:
    """eta(t) = c(t / T) for t < s, then r + (c(s / T) - r) c(min((t - s) / A, 1)) (A0_034; torch's SWALR).

    c(u) = (1 + cos(π u)) / 2, s = ⌊swa_start T⌉, r = `swa_ratio`, A = ⌊anneal T⌉: a cosine, and from step s on, where
    weights are averaged, over to a constant rate.
    """

    def before(t: int) -> float:
        return half_wave(done(t, total_steps))

    return _averaged(optimizer, total_steps, before, half_wave, swa_start, swa_ratio, anneal)


def swa_linear(
    optimizer: Any,
    total_steps: int,
    *,
    swa_start: SwaStart = 0.75,
    swa_ratio: SwaRatio = 0.5,
    anneal: Anneal = 0.05,
) -> Any:
    """eta(t) = l(t) for t < s, then r + (l(s) - r) (1 - min((t - s) / A, 1)) (A0_035; torch's SWALR).

    l(t) = 1 - 0.9 t / T, s = ⌊swa_start T⌉, r = `swa_ratio`, A = ⌊anneal T⌉: a straight line, and from step s on, where
    weights are averaged, over to a constant rate.
    """

    def before(t: int) -> float:
        return 1 - 0.9 * done(t, total_steps)

    return _averaged(optimizer, total_steps, before, lambda u: 1 - u, swa_start, swa_ratio, anneal)


def _averaged(
    optimizer: Any,
    total_steps: int,
    before: Callable[[int], float],
    fall: Callable[[float], float],
    swa_start: float,
    swa_ratio: float,
    anneal: float,
) -> Any:
    start = min(steps(swa_start, total_steps), total_steps - 1)
    length = steps(anneal, total_steps)

    def eta(t: int) -> float:
        if t < start:
            return before(t)
        return swa_ratio + (before(start) - swa_ratio) * fall(done(t - start, length))

    scheduler = follow(optimizer, eta)
    scheduler.average_from = start
    return scheduler
