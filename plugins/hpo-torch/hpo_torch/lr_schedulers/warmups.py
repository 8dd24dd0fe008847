"""Rates that begin low, alone or before a decay: the warm-ups among the 35. Terms: `hpo_torch.lr_schedulers`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float
from hpo_torch.lr_schedulers.curve import done, follow, half_wave, ramp, steps
from hpo_torch.lr_schedulers.options import Every, Gamma, Start, Warmup

Low = Annotated[
    float, Field(gt=0, lt=1, description="The rate during the warm-up, as a part of the full rate.")
]


def warmup_linear(
    optimizer: Any,
    total_steps: int,
    *,
    start: Annotated[Start, Float(0.01, 0.5)] = 0.1,
    warmup: Annotated[Warmup, Float(0.02, 0.4)] = 0.2,
) -> Any:
    """eta(t) = a + (1 - a) min(t / W, 1) with a = `start`, W = ⌊warmup T⌉ (A0_015; torch's LinearLR).

    At 5 epochs the original was constant, and it declared a target that it did not read.
    """
    length = steps(warmup, total_steps)
    return follow(optimizer, lambda t: ramp(t, length, start))


def warmup_flat(
    optimizer: Any,
    total_steps: int,
    *,
    factor: Annotated[Low, Float(0.1, 0.9)] = 0.5,
    warmup: Annotated[Warmup, Float(0.02, 0.4)] = 0.2,
) -> Any:
    """eta(t) = `factor` for t < W = ⌊warmup T⌉, then 1 (A0_016; torch's ConstantLR).

    At 5 epochs the original was constant.
    """
    length = steps(warmup, total_steps)
    return follow(optimizer, lambda t: factor if t < length else 1.0)


def warmup_cosine(
    optimizer: Any,
    total_steps: int,
    *,
    start: Start = 0.1,
    warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1,
) -> Any:
    """eta(t) = r(t) c(t / T): a warm-up times a cosine (A0_020; torch's ChainedScheduler of LinearLR and cosine).

    r(t) = a + (1 - a) min(t / W, 1) with a = `start`, W = ⌊warmup T⌉; c(u) = (1 + cos(π u)) / 2. The original declared
    a gamma that it did not read.
    """
    length = steps(warmup, total_steps)
    return follow(optimizer, lambda t: ramp(t, length, start) * half_wave(done(t, total_steps)))


def warmup_step(
    optimizer: Any,
    total_steps: int,
    *,
    start: Start = 0.1,
    warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1,
    every: Annotated[
        Every,
        Field(description="Fraction of the steps after the warm-up between two drops."),
        Float(0.1, 0.6),
    ] = 0.34,
    gamma: Annotated[Gamma, Float(0.05, 0.7, log=True)] = 0.1,
) -> Any:
    """eta(t) = r(t) for t < W, then gamma^⌊(t - W) / S⌋ (A0_021; torch's SequentialLR of LinearLR and StepLR).

    r(t) = a + (1 - a) t / W with a = `start`, W = ⌊warmup T⌉, and S = ⌊every (T - W)⌉. At 5 epochs the original was its
    A0_025.
    """
    length = steps(warmup, total_steps)
    drop = steps(every, total_steps - length)
    return follow(
        optimizer,
        lambda t: ramp(t, length, start) if t < length else gamma ** ((t - length) // drop),
    )
