"""LR schedulers: from an optimizer and the number of its steps to a torch `LRScheduler`.

The objective calls `.step()` after every optimizer step, T = `total_steps` times in all. Every horizon is a fraction of
T, so that a schedule means the same for three epochs as for ninety: a step schedule written in epochs, run for fewer,
would be a constant one under another name. Horizons are at least one step, so each T from 1 up is valid.

Below, t = 0, 1, ... T-1 is the number of optimizer steps already made, and lr(t) the rate of the next one, in units of
the optimizer's own rate. Parameter groups keep their ratios.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field


def constant(optimizer: Any, total_steps: int) -> Any:
    """lr(t) = 1."""
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, lambda t: 1.0)


def cosine(
    optimizer: Any,
    total_steps: int,
    *,
    min_ratio: Annotated[
        float, Field(ge=0, lt=1, description="Where the rate ends, as a part of the full rate.")
    ] = 0.0,
) -> Any:
    """lr(t) = m + (1 - m) (1 + cos(π t / T)) / 2 with m = `min_ratio` (Loshchilov & Hutter 2017, without restarts)."""
    from torch.optim.lr_scheduler import LambdaLR

    def ratio(t: int) -> float:
        wave = (1 + math.cos(math.pi * min(t / total_steps, 1.0))) / 2
        return min_ratio + (1 - min_ratio) * wave

    return LambdaLR(optimizer, ratio)


def one_cycle(
    optimizer: Any,
    total_steps: int,
    *,
    pct_start: Annotated[
        float, Field(gt=0, lt=1, description="Fraction of the run in which the rate rises.")
    ] = 0.3,
    div_factor: Annotated[
        float, Field(gt=1, description="The rate starts at the full rate divided by this.")
    ] = 25.0,
    final_div_factor: Annotated[
        float, Field(gt=0, description="The rate ends at its first value divided by this.")
    ] = 1e4,
) -> Any:
    """Smith's 1cycle policy (Smith & Topin 2018), which `torch.optim.lr_scheduler.OneCycleLR` implements.

    With a = 1/`div_factor`, b = a/`final_div_factor`, N = max(T + 1, 4) and the peak at step w =
    max(`pct_start` N - 1, 1), where s(u) = (1 - cos(π u)) / 2::

        lr(t) = a + (1 - a) s(t / w)                      t <= w
        lr(t) = 1 + (b - 1) s((t - w) / (N - 1 - w))      t >= w

    N is above T because torch counts the rate before the first step too, and at least 4 so that both phases have a
    length. Momentum stays what the optimizer was given: torch would replace it, and with it a searched value.
    """
    from torch.optim.lr_scheduler import OneCycleLR

    steps = max(total_steps + 1, 4)
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=max(pct_start, 2 / steps),
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=False,
    )


def step(
    optimizer: Any,
    total_steps: int,
    *,
    every: Annotated[
        float, Field(gt=0, le=1, description="Fraction of the run between two drops.")
    ] = 0.33,
    gamma: Annotated[
        float, Field(gt=0, lt=1, description="What the rate is multiplied by at a drop.")
    ] = 0.1,
) -> Any:
    """lr(t) = gamma^⌊t / S⌋ with S = max(1, round(`every` T)) steps between drops."""
    from torch.optim.lr_scheduler import StepLR

    return StepLR(optimizer, step_size=max(1, round(every * total_steps)), gamma=gamma)
