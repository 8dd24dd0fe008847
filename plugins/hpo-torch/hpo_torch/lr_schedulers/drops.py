"""Rates that drop at given places of the run. Terms are explained in `hpo_torch.lr_schedulers`."""

from __future__ import annotations

from typing import Annotated, Any

from hpo_core import Float
from hpo_torch.lr_schedulers.curve import follow, steps
from hpo_torch.lr_schedulers.options import Every, Gamma, Milestone


def step(
    optimizer: Any,
    total_steps: int,
    *,
    every: Annotated[Every, Float(0.1, 0.6)] = 0.33,
    gamma: Annotated[Gamma, Float(0.05, 0.7, log=True)] = 0.1,
) -> Any:
    """eta(t) = gamma^⌊t / S⌋ with S = ⌊every T⌉ steps between drops (A0_001; torch's StepLR)."""
    return _regular(optimizer, total_steps, every, gamma)


def step_long(
    optimizer: Any,
    total_steps: int,
    *,
    every: Annotated[Every, Float(0.4, 0.8)] = 0.5,
    gamma: Annotated[Gamma, Float(0.05, 0.7, log=True)] = 0.1,
) -> Any:
    """eta(t) = gamma^⌊t / S⌋ with S = ⌊every T⌉: one drop or two (A0_024; torch's StepLR).

    The original declared its step and did not read it.
    """
    return _regular(optimizer, total_steps, every, gamma)


def multi_step(
    optimizer: Any,
    total_steps: int,
    *,
    first: Annotated[Milestone, Float(0.1, 0.95)] = 0.3,
    second: Annotated[Milestone, Float(0.1, 0.95)] = 0.6,
    third: Annotated[Milestone, Float(0.1, 0.95)] = 0.8,
    gamma: Annotated[Gamma, Float(0.05, 0.6)] = 0.1,
) -> Any:
    """eta(t) = gamma^n, n the number of milestones M_i = ⌊m_i T⌉ with t >= M_i (A0_002; torch's MultiStepLR).

    The milestones m_i are `first`, `second` and `third`, in any order, so that a search may place them freely.
    """
    return _at(optimizer, total_steps, (first, second, third), gamma)


def multi_step_four(
    optimizer: Any,
    total_steps: int,
    *,
    first: Milestone = 0.25,
    second: Milestone = 0.5,
    third: Milestone = 0.75,
    fourth: Milestone = 0.9,
    gamma: Annotated[Gamma, Float(0.1, 0.7)] = 0.3,
) -> Any:
    """eta(t) = gamma^n, n the number of milestones M_i = ⌊m_i T⌉ with t >= M_i (A0_025; torch's MultiStepLR).

    At 5 epochs the original was its A0_021.
    """
    return _at(optimizer, total_steps, (first, second, third, fourth), gamma)


def step_once(
    optimizer: Any,
    total_steps: int,
    *,
    at: Annotated[Milestone, Float(0.4, 0.9)] = 0.7,
    factor: Annotated[Gamma, Float(0.02, 0.5)] = 0.1,
) -> Any:
    """eta(t) = 1 for t < ⌊at T⌉, then `factor` (A0_030; torch's LambdaLR).

    The original dropped at half of the run, as its A0_024 did.
    """
    return _at(optimizer, total_steps, (at,), factor)


def _regular(optimizer: Any, total_steps: int, every: float, gamma: float) -> Any:
    length = steps(every, total_steps)
    return follow(optimizer, lambda t: gamma ** (t // length))


def _at(optimizer: Any, total_steps: int, fractions: tuple[float, ...], gamma: float) -> Any:
    milestones = [steps(fraction, total_steps) for fraction in fractions]
    return follow(optimizer, lambda t: gamma ** sum(t >= milestone for milestone in milestones))
