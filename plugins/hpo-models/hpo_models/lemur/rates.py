"""The LR schedulers A0_001 to A0_035 as plain functions, whose source text goes into exported files.

A function takes t, the number of optimizer steps already made, and `total`, those of the whole run (T), and gives the
rate of the next step in units of the full rate (eta). Its other parameters are the options of the LR scheduler of that
number in the catalogue. Exported files run on their own, so they cannot ask the plugin that registers these schedulers;
the tests hold each function, in an exported file, against what that plugin builds. `hpo_models.lemur.code` copies a
function with all of this module that it calls, so nothing here may need anything but `math`.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def between(
    place: float | None, low: float, high: float, default: float, log: bool = False
) -> float:
    """The number at a place in [0, 1] of a range, or the default where no place is given."""
    if place is None:
        return default
    return low * math.pow(high / low, place) if log else low + (high - low) * place


def whole(place: float | None, low: int, high: int, default: int) -> int:
    """The whole number at a place in [0, 1] of a range, or the default where no place is given."""
    return default if place is None else min(low + int((high - low + 1) * place), high)


def switch(place: float | None, default: bool) -> bool:
    """True in the upper half of [0, 1], or the default where no place is given."""
    return default if place is None else place >= 0.5


def steps(fraction: float, total: int, least: int = 1) -> int:
    """A fraction of the run in whole steps."""
    return max(least, round(fraction * total))


def done(t: int, total: int) -> float:
    """The part of the run that is done, at most 1."""
    return min(t / total, 1.0)


def half_wave(u: float) -> float:
    """From 1 at u = 0 to 0 at u = 1, along half a wave of the cosine."""
    return (1 + math.cos(math.pi * u)) / 2


def straight(u: float) -> float:
    """From 1 at u = 0 to 0 at u = 1, in a straight line."""
    return 1 - u


def ramp(t: int, length: int, start: float) -> float:
    """From `start` at t = 0 to 1 at t = `length` in a straight line, then 1."""
    return start + (1 - start) * min(t / length, 1.0)


def step(t: int, total: int, every: float, gamma: float) -> float:
    """eta(t) = gamma^floor(t / S), S = `every` T steps."""
    return gamma ** (t // steps(every, total))


def drops(t: int, total: int, fractions: list[float], gamma: float) -> float:
    """gamma^n, n the number of places of the run that are behind t."""
    return gamma ** sum(t >= steps(fraction, total) for fraction in fractions)


def multi_step(
    t: int, total: int, first: float, second: float, third: float, gamma: float
) -> float:
    """eta(t) = gamma^n, n the number of milestones behind t."""
    return drops(t, total, [first, second, third], gamma)


def multi_step_four(
    t: int, total: int, first: float, second: float, third: float, fourth: float, gamma: float
) -> float:
    """eta(t) = gamma^n, n the number of milestones behind t."""
    return drops(t, total, [first, second, third, fourth], gamma)


def step_once(t: int, total: int, at: float, factor: float) -> float:
    """eta(t) = 1 for t < `at` T, then `factor`."""
    return drops(t, total, [at], factor)


def exponential(t: int, total: int, final: float) -> float:
    """eta(t) = final^(t / (T-1)): the last step has the rate `final`."""
    return math.pow(final, t / max(total - 1, 1))


def multiplicative(t: int, total: int, final: float) -> float:
    """eta(t) = final^(t / T): each step multiplies the rate by final^(1 / T)."""
    return math.pow(final, t / total)


def exponential_floor(t: int, total: int, rate: float, floor: float) -> float:
    """eta(t) = max(`floor`, exp(-k t / T)) with k = `rate`."""
    return max(floor, math.exp(-rate * t / total))


def polynomial(t: int, total: int, power: float) -> float:
    """eta(t) = (1 - t / T)^p with p = `power`."""
    return math.pow(1 - done(t, total), power)


def linear_floor(t: int, total: int, floor: float) -> float:
    """eta(t) = max(`floor`, 1 - t / T)."""
    return max(floor, 1 - done(t, total))


def cosine(t: int, total: int, min_ratio: float) -> float:
    """eta(t) = m + (1 - m) (1 + cos(pi t / T)) / 2 with m = `min_ratio`."""
    return min_ratio + (1 - min_ratio) * half_wave(done(t, total))


def cosine_power(t: int, total: int, power: float) -> float:
    """eta(t) = ((1 + cos(pi t / T)) / 2)^p with p = `power`."""
    return math.pow(half_wave(done(t, total)), power)


def cosine_restarts(t: int, total: int, first: float, growth: int, min_ratio: float) -> float:
    """eta(t) = m + (1 - m) (1 + cos(pi i / L)) / 2, i steps into a cycle of L, m = `min_ratio`.

    The first cycle has L = max(2, `first` T) steps, each next one `growth` times as many.
    """
    length = steps(first, total, least=2)
    while growth > 1 and t >= length:
        t, length = t - length, length * growth
    return min_ratio + (1 - min_ratio) * half_wave(t % length / length)


def wave(t: int, length: int) -> float:
    """0 at every even multiple of `length`, 1 at every odd one, straight between."""
    return 1 - abs(t % (2 * length) / length - 1)


def cyclic_triangular(t: int, total: int, base: float, up: float) -> float:
    """eta(t) = b + (1 - b) w(t), a wave that rises from b = `base` to 1 in `up` T steps."""
    return base + (1 - base) * wave(t, steps(up, total))


def cyclic_triangular2(t: int, total: int, base: float, up: float) -> float:
    """eta(t) = b + (1 - b) w(t) / 2^n in cycle n, a wave that each cycle halves."""
    length = steps(up, total)
    return base + (1 - base) * wave(t, length) / math.pow(2, t // (2 * length))


def cyclic_exp_range(t: int, total: int, base: float, up: float, final: float) -> float:
    """eta(t) = b + (1 - b) w(t) final^(t / T), a wave that dies out."""
    return base + (1 - base) * wave(t, steps(up, total)) * math.pow(final, t / total)


def cycle(
    t: int,
    total: int,
    fall: Callable[[float], float],
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
    three_phase: bool,
) -> float:
    """One rise and fall between 1 / d, 1 and 1 / (d f), as torch's OneCycleLR of max(T + 1, 4) steps has it."""
    count = max(total + 1, 4)
    low = 1 / div_factor
    end = low / final_div_factor
    peak = max(pct_start, 2 / count) * count - 1
    phases = [(0.0, low), (peak, 1.0), (count - 1.0, end)]
    if three_phase:
        phases.insert(2, (2 * peak, low))
    t = min(t, count - 1)
    index = 0
    while t > phases[index + 1][0]:
        index += 1
    (start, high), (stop, target) = phases[index : index + 2]
    return target + (high - target) * fall((t - start) / (stop - start))


def one_cycle(
    t: int,
    total: int,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
    three_phase: bool,
) -> float:
    """eta(t) rises from 1 / d to 1 in `pct_start` of the run and falls to 1 / (d f), along cosines."""
    return cycle(t, total, half_wave, pct_start, div_factor, final_div_factor, three_phase)


def one_cycle_linear(
    t: int,
    total: int,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
    three_phase: bool,
) -> float:
    """eta(t) rises from 1 / d to 1 in `pct_start` of the run and falls to 1 / (d f), in straight lines."""
    return cycle(t, total, straight, pct_start, div_factor, final_div_factor, three_phase)


def warmup_linear(t: int, total: int, start: float, warmup: float) -> float:
    """eta(t) rises from `start` to 1 in `warmup` T steps, then stays."""
    return ramp(t, steps(warmup, total), start)


def warmup_flat(t: int, total: int, factor: float, warmup: float) -> float:
    """eta(t) = `factor` for t < `warmup` T, then 1."""
    return factor if t < steps(warmup, total) else 1.0


def warmup_cosine(t: int, total: int, start: float, warmup: float) -> float:
    """eta(t) = r(t) (1 + cos(pi t / T)) / 2, r rising from `start` to 1 in `warmup` T steps."""
    return ramp(t, steps(warmup, total), start) * half_wave(done(t, total))


def warmup_step(
    t: int, total: int, start: float, warmup: float, every: float, gamma: float
) -> float:
    """eta(t) rises from `start` to 1 in W = `warmup` T steps, then drops every `every` (T - W)."""
    length = steps(warmup, total)
    if t < length:
        return ramp(t, length, start)
    return gamma ** ((t - length) // steps(every, total - length))


def average_from(total: int, swa_start: float) -> int:
    """The step from which weights are averaged: `swa_start` T, at most T - 1."""
    return min(steps(swa_start, total), total - 1)


def swa_cosine(t: int, total: int, swa_start: float, swa_ratio: float, anneal: float) -> float:
    """eta(t) = (1 + cos(pi t / T)) / 2 until weights are averaged, then over to `swa_ratio`."""
    start = average_from(total, swa_start)
    before = half_wave(done(min(t, start), total))
    over = done(max(t - start, 0), steps(anneal, total))
    return swa_ratio + (before - swa_ratio) * half_wave(over) if t >= start else before


def swa_linear(t: int, total: int, swa_start: float, swa_ratio: float, anneal: float) -> float:
    """eta(t) = 1 - 0.9 t / T until weights are averaged, then over to `swa_ratio`."""
    start = average_from(total, swa_start)
    before = 1 - 0.9 * done(min(t, start), total)
    over = done(max(t - start, 0), steps(anneal, total))
    return swa_ratio + (before - swa_ratio) * straight(over) if t >= start else before
