"""Rates that rise and fall: triangles again and again, or one cycle. Terms: `hpo_torch.lr_schedulers`.

Momentum stays what the optimizer was given: torch would cycle it too, and replace a searched value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hpo_core import Choice, Float
from hpo_torch.lr_schedulers.curve import follow, steps
from hpo_torch.lr_schedulers.options import Base, Final, Up

Rise = Annotated[
    float, Field(gt=0, lt=1, description="Fraction of the run in which the rate rises.")
]
Div = Annotated[
    float, Field(gt=1, description="The rate starts at the full rate divided by this (d).")
]
FinalDiv = Annotated[
    float, Field(gt=0, description="The rate ends at its first value divided by this (f).")
]
ThreePhase = Annotated[
    bool, Field(description="Fall as long as it rose, then down to the end; needs pct_start < 0.5.")
]


def cyclic_triangular(
    optimizer: Any,
    total_steps: int,
    *,
    base: Annotated[Base, Float(0.01, 0.5, log=True)] = 0.1,
    up: Annotated[Up, Float(0.05, 0.5)] = 0.25,
) -> Any:
    """eta(t) = b + (1 - b) w(t), a triangular wave w with U = ⌊up T⌉ (A0_010; torch's CyclicLR; Smith 2017).

    w(t) = 1 - |t/U - 2n - 1| in cycle n = ⌊t / 2U⌋ rises from 0 to 1 in U steps and falls in as many. At 5 epochs the
    original divided by zero.
    """
    length = steps(up, total_steps)
    return follow(optimizer, lambda t: base + (1 - base) * _wave(t, length))


def cyclic_triangular2(
    optimizer: Any,
    total_steps: int,
    *,
    base: Annotated[Base, Float(0.01, 0.5, log=True)] = 0.1,
    up: Annotated[Up, Float(0.05, 0.5)] = 0.125,
) -> Any:
    """eta(t) = b + (1 - b) w(t) / 2^n, halved by each cycle (A0_011; torch's CyclicLR, triangular2).

    The wave w(t) = 1 - |t/U - 2n - 1| in cycle n = ⌊t / 2U⌋ has U = ⌊up T⌉, b = `base`.
    At 5 epochs the original divided by zero.
    """
    length = steps(up, total_steps)
    return follow(
        optimizer, lambda t: base + (1 - base) * _wave(t, length) / 2 ** (t // (2 * length))
    )


def cyclic_exp_range(
    optimizer: Any,
    total_steps: int,
    *,
    base: Base = 0.1,
    up: Up = 0.25,
    final: Annotated[Final, Float(0.01, 0.5)] = 0.1,
) -> Any:
    """eta(t) = b + (1 - b) w(t) final^(t / T), a wave that dies out (A0_012; torch's CyclicLR, exp_range).

    The wave w(t) = 1 - |t/U - 2n - 1| in cycle n = ⌊t / 2U⌋ has U = ⌊up T⌉, b = `base`.
    The original took its option `cycle_momentum` for the decay, and divided by zero at 5 epochs.
    """
    length = steps(up, total_steps)
    return follow(
        optimizer, lambda t: base + (1 - base) * _wave(t, length) * final ** (t / total_steps)
    )


def cyclic_short(
    optimizer: Any,
    total_steps: int,
    *,
    base: Base = 0.1,
    up: Annotated[Up, Float(0.01, 0.1)] = 0.05,
) -> Any:
    """eta(t) = b + (1 - b) w(t), many short cycles (A0_028; torch's CyclicLR).

    The wave w(t) = 1 - |t/U - 2n - 1| in cycle n = ⌊t / 2U⌋ has U = ⌊up T⌉, b = `base`.
    At 5 epochs the original divided by zero.
    """
    return cyclic_triangular(optimizer, total_steps, base=base, up=up)


def one_cycle(
    optimizer: Any,
    total_steps: int,
    *,
    pct_start: Annotated[Rise, Float(0.1, 0.45)] = 0.3,
    div_factor: Annotated[Div, Float(5, 50)] = 25.0,
    final_div_factor: Annotated[FinalDiv, Float(1e2, 1e5, log=True)] = 1e4,
    three_phase: Annotated[ThreePhase, Choice((False, True))] = False,
) -> Any:
    """Smith's 1cycle policy (Smith & Topin 2018), which torch's OneCycleLR implements (A0_013).

    With a = 1/d, z = a/f, N = max(T + 1, 4), the peak at step w = max(pct_start N - 1, 1), and the way from 0 to 1
    s(u) = (1 - cos(π u)) / 2::

        eta(t) = a + (1 - a) s(t / w)                      t <= w
        eta(t) = 1 + (z - 1) s((t - w) / (N - 1 - w))      t >= w

    N is above T because torch counts the rate before the first step too, and at least 4 so that each phase has a
    length. With `three_phase` the rate is back at a by step 2w, and falls to z from there. The original declared a
    least rate that it did not read. Raises ValueError for `three_phase` with `pct_start` from 0.5 up.
    """
    return _one_cycle(
        optimizer, total_steps, pct_start, div_factor, final_div_factor, "cos", three_phase
    )


def one_cycle_aggressive(
    optimizer: Any,
    total_steps: int,
    *,
    pct_start: Annotated[Rise, Float(0.05, 0.2)] = 0.1,
    div_factor: Div = 10.0,
    final_div_factor: FinalDiv = 1e4,
    three_phase: ThreePhase = False,
) -> Any:
    """1cycle in straight lines, with an early peak: as `one-cycle` with s(u) = u (A0_014; torch's OneCycleLR).

    With a = 1/d, z = a/f and N = max(T + 1, 4), eta rises from a to 1 at step w = max(pct_start N - 1, 1) and falls
    from there to z at step N - 1.
    """
    return _one_cycle(
        optimizer, total_steps, pct_start, div_factor, final_div_factor, "linear", three_phase
    )


def one_cycle_linear(
    optimizer: Any,
    total_steps: int,
    *,
    pct_start: Annotated[Rise, Float(0.1, 0.45)] = 0.3,
    div_factor: Annotated[Div, Float(5, 50)] = 25.0,
    final_div_factor: Annotated[FinalDiv, Float(1e2, 1e5, log=True)] = 1e4,
    three_phase: Annotated[ThreePhase, Choice((False, True))] = False,
) -> Any:
    """1cycle in straight lines: as `one-cycle` with s(u) = u (A0_027; torch's OneCycleLR).

    With a = 1/d, z = a/f and N = max(T + 1, 4), eta rises from a to 1 at step w = max(pct_start N - 1, 1) and falls
    from there to z at step N - 1.
    """
    return _one_cycle(
        optimizer, total_steps, pct_start, div_factor, final_div_factor, "linear", three_phase
    )


def _wave(t: int, length: int) -> float:
    """0 at every even multiple of `length`, 1 at every odd one, straight between."""
    return 1 - abs(t % (2 * length) / length - 1)


def _one_cycle(
    optimizer: Any,
    total_steps: int,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
    shape: Literal["cos", "linear"],
    three_phase: bool,
) -> Any:
    from torch.optim.lr_scheduler import OneCycleLR

    if three_phase and pct_start >= 0.5:
        raise ValueError(f"three_phase needs pct_start below 0.5, got {pct_start}")
    count = max(total_steps + 1, 4)
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=count,
        pct_start=max(pct_start, 2 / count),
        anneal_strategy=shape,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        three_phase=three_phase,
        cycle_momentum=False,
    )
