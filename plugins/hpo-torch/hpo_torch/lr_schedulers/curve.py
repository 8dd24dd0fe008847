"""What the families share: a learning rate that follows a formula, and fractions of a run in steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def follow(optimizer: Any, eta: Callable[[int], float]) -> Any:
    """A torch `LambdaLR` whose rate after t steps is eta(t) times each group's own; its state is the number t."""
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, eta)


def steps(fraction: float, total_steps: int, least: int = 1) -> int:
    """A fraction of the run in whole steps, at least `least`."""
    return max(least, round(fraction * total_steps))


def done(t: int, total_steps: int) -> float:
    """t / T, at most 1: torch asks for the rate after the last step too, and an objective may step on."""
    return min(t / total_steps, 1.0)


def half_wave(u: float) -> float:
    """(1 + cos(π u)) / 2: from 1 at u = 0 to 0 at u = 1."""
    return (1 + math.cos(math.pi * u)) / 2


def ramp(t: int, length: int, start: float) -> float:
    """From `start` at t = 0 to 1 at t = `length` in a straight line, then 1."""
    return start + (1 - start) * min(t / length, 1.0)
