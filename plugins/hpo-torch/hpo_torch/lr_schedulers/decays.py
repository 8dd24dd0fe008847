"""Rates that fall all along the run, by a power or exponentially. Terms: `hpo_torch.lr_schedulers`."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float
from hpo_torch.lr_schedulers.curve import done, follow
from hpo_torch.lr_schedulers.options import Final, Floor, Power


def exponential(
    optimizer: Any,
    total_steps: int,
    *,
    final: Annotated[Final, Float(1e-4, 0.3, log=True)] = 0.01,
) -> Any:
    """eta(t) = final^(t / (T-1)): the last step has the rate `final` (A0_003; torch's ExponentialLR).

    The original took gamma per epoch, and was its A0_019 and A0_022 again. T-1 is at least 1.
    """
    last = max(total_steps - 1, 1)
    return follow(optimizer, lambda t: final ** (t / last))


def multiplicative(
    optimizer: Any,
    total_steps: int,
    *,
    final: Annotated[Final, Float(0.01, 0.5)] = 0.1,
) -> Any:
    """eta(t) = final^(t / T): each step multiplies the rate by final^(1/T) (A0_019; torch's MultiplicativeLR).

    The original's factor per epoch did not depend on T, and made it its A0_003.
    """
    return follow(optimizer, lambda t: final ** (t / total_steps))


def exponential_floor(
    optimizer: Any,
    total_steps: int,
    *,
    rate: Annotated[
        float, Field(gt=0, le=50, description="How fast it falls (k)."), Float(1, 8)
    ] = 4.0,
    floor: Annotated[Floor, Float(0, 0.1)] = 0.05,
) -> Any:
    """eta(t) = max(m, exp(-k t / T)) with k = `rate`, m = `floor` (A0_022; torch's LambdaLR).

    The original had neither k nor m, and was its A0_003.
    """
    return follow(optimizer, lambda t: max(floor, math.exp(-rate * t / total_steps)))


def polynomial_quadratic(
    optimizer: Any, total_steps: int, *, power: Annotated[Power, Float(1.5, 2.5)] = 2.0
) -> Any:
    """eta(t) = (1 - t / T)^p with p = `power` (A0_004; torch's PolynomialLR).

    The original said quadratic and had p = 1.
    """
    return _power(optimizer, total_steps, power)


def polynomial_cubic(
    optimizer: Any, total_steps: int, *, power: Annotated[Power, Float(2.5, 3.5)] = 3.0
) -> Any:
    """eta(t) = (1 - t / T)^p with p = `power` (A0_005; torch's PolynomialLR).

    The original said cubic and had p = 2.
    """
    return _power(optimizer, total_steps, power)


def polynomial_quartic(
    optimizer: Any, total_steps: int, *, power: Annotated[Power, Float(3.5, 5)] = 4.0
) -> Any:
    """eta(t) = (1 - t / T)^p with p = `power` (A0_029; torch's PolynomialLR)."""
    return _power(optimizer, total_steps, power)


def power(optimizer: Any, total_steps: int, *, power: Annotated[Power, Float(0.5, 4)] = 1.5) -> Any:
    """eta(t) = (1 - t / T)^p with p = `power` (A0_018; torch's LambdaLR).

    The original had p = 2, as its A0_005.
    """
    return _power(optimizer, total_steps, power)


def linear_floor(
    optimizer: Any, total_steps: int, *, floor: Annotated[Floor, Float(0, 0.3)] = 0.1
) -> Any:
    """eta(t) = max(m, 1 - t / T) with m = `floor` (A0_017; torch's LambdaLR).

    The original declared a power that it did not read, and at 5 epochs was its A0_004.
    """
    return follow(optimizer, lambda t: max(floor, 1 - done(t, total_steps)))


def _power(optimizer: Any, total_steps: int, power: float) -> Any:
    return follow(optimizer, lambda t: (1 - done(t, total_steps)) ** power)
