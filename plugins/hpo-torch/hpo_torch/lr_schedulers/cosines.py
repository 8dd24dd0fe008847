"""Rates that fall along half a wave of the cosine, once or with restarts (Loshchilov & Hutter 2017, SGDR).

Terms are explained in `hpo_torch.lr_schedulers`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float, Int
from hpo_torch.lr_schedulers.curve import done, follow, half_wave, steps
from hpo_torch.lr_schedulers.options import Floor, Period, Power

Growth = Annotated[
    int, Field(ge=1, le=10, description="How many times as long each cycle is as the one before.")
]


def cosine(optimizer: Any, total_steps: int, *, min_ratio: Floor = 0.0) -> Any:
    """eta(t) = m + (1 - m) (1 + cos(π t / T)) / 2 with m = `min_ratio` (A0_006; torch's CosineAnnealingLR)."""
    return _once(optimizer, total_steps, min_ratio)


def cosine_floor(
    optimizer: Any,
    total_steps: int,
    *,
    min_ratio: Annotated[Floor, Float(1e-4, 0.05, log=True)] = 0.01,
) -> Any:
    """eta(t) = m + (1 - m) (1 + cos(π t / T)) / 2 with m = `min_ratio` (A0_007; torch's CosineAnnealingLR)."""
    return _once(optimizer, total_steps, min_ratio)


def cosine_high_floor(
    optimizer: Any, total_steps: int, *, min_ratio: Annotated[Floor, Float(0.05, 0.3)] = 0.1
) -> Any:
    """eta(t) = m + (1 - m) (1 + cos(π t / T)) / 2 with m = `min_ratio` (A0_026; torch's CosineAnnealingLR)."""
    return _once(optimizer, total_steps, min_ratio)


def cosine_power(
    optimizer: Any, total_steps: int, *, power: Annotated[Power, Float(0.5, 3)] = 2.0
) -> Any:
    """eta(t) = ((1 + cos(π t / T)) / 2)^p with p = `power` (A0_023; torch's LambdaLR).

    The original declared the power and did not read it, which made it its A0_006.
    """
    return follow(optimizer, lambda t: half_wave(done(t, total_steps)) ** power)


def cosine_restarts_growing(
    optimizer: Any,
    total_steps: int,
    *,
    first: Annotated[Period, Float(0.05, 0.2)] = 0.1,
    growth: Annotated[Growth, Int(1, 3)] = 2,
    min_ratio: Annotated[Floor, Float(0, 0.05)] = 0.0,
) -> Any:
    """eta(t) = m + (1 - m) (1 + cos(π i / L)) / 2, i steps into a cycle of L (A0_008; CosineAnnealingWarmRestarts).

    The first cycle has L = max(2, ⌊first T⌉) steps, each next one `growth` times as many; m = `min_ratio`. A cycle of
    one step would be no cycle: its rate would be constant.
    """
    return _restarts(optimizer, total_steps, first, growth, min_ratio)


def cosine_restarts(
    optimizer: Any,
    total_steps: int,
    *,
    first: Annotated[Period, Float(0.2, 0.5)] = 0.34,
    growth: Growth = 1,
    min_ratio: Floor = 0.0,
) -> Any:
    """eta(t) = m + (1 - m) (1 + cos(π i / L)) / 2, i steps into a cycle of L (A0_009; CosineAnnealingWarmRestarts).

    The first cycle has L = max(2, ⌊first T⌉) steps, each next one `growth` times as many; m = `min_ratio`.
    """
    return _restarts(optimizer, total_steps, first, growth, min_ratio)


def _once(optimizer: Any, total_steps: int, low: float) -> Any:
    return follow(optimizer, lambda t: low + (1 - low) * half_wave(done(t, total_steps)))


def _restarts(optimizer: Any, total_steps: int, first: float, growth: int, low: float) -> Any:
    length = steps(first, total_steps, least=2)
    return follow(optimizer, lambda t: low + (1 - low) * half_wave(_place(t, length, growth)))


def _place(t: int, length: int, growth: int) -> float:
    """How much of its cycle has passed at t, in [0, 1)."""
    while growth > 1 and t >= length:
        t, length = t - length, length * growth
    return t % length / length
