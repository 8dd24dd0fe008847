"""The group H036 to H050: the schedules of the library transformers, each by its formula.

Below W is the length of the warm-up in steps, ⌊warmup T⌉ and at most T-1 (a run of a single step has none), in which
eta(t) = t / W; u = (t - W) / (T - W) in [0, 1] is the place in the rest of the run. Unlike in the other families the
first rate of a warm-up is 0, as it is there. An optional test holds them against `transformers.get_scheduler`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float, Int
from hpo_torch.lr_schedulers.curve import done, follow, half_wave, steps
from hpo_torch.lr_schedulers.options import Floor, Power, Warmup

Cycles = Annotated[int, Field(ge=1, le=100, description="Waves after the warm-up (k).")]
End = Annotated[
    float, Field(ge=0, lt=1, description="Where the rate ends, as a part of the full rate (z).")
]


def constant(optimizer: Any, total_steps: int) -> Any:
    """eta(t) = 1 (H041)."""
    return follow(optimizer, lambda t: 1.0)


def linear(optimizer: Any, total_steps: int) -> Any:
    """eta(t) = 1 - t / T (H044, linear_decay)."""
    return follow(optimizer, lambda t: 1 - done(t, total_steps))


def linear_with_warmup(
    optimizer: Any, total_steps: int, *, warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1
) -> Any:
    """eta(t) = t / W, then 1 - u (H036, linear_warmup).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W).
    """
    return _warmed(optimizer, total_steps, warmup, lambda u: 1 - u)


def cosine_with_warmup(
    optimizer: Any, total_steps: int, *, warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1
) -> Any:
    """eta(t) = t / W, then (1 + cos(π u)) / 2 (H037, cosine_warmup).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W).
    """
    return _warmed(optimizer, total_steps, warmup, half_wave)


def cosine_floor_with_warmup(
    optimizer: Any,
    total_steps: int,
    *,
    warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1,
    min_ratio: Annotated[Floor, Float(1e-3, 0.3, log=True)] = 0.1,
) -> Any:
    """eta(t) = t / W, then m + (1 - m) (1 + cos(π u)) / 2 with m = `min_ratio` (H043, cosine_min_lr).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W). The original misspelt the option of transformers and failed.
    """
    return _warmed(
        optimizer, total_steps, warmup, lambda u: min_ratio + (1 - min_ratio) * half_wave(u)
    )


def cosine_hard_restarts(
    optimizer: Any,
    total_steps: int,
    *,
    warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1,
    cycles: Annotated[Cycles, Int(1, 5)] = 1,
) -> Any:
    """eta(t) = t / W, then (1 + cos(π (k u mod 1))) / 2 with k = `cycles` (H038, cosine_hard_restarts).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W).
    With one cycle, as the group has it, it is `cosine-with-warmup`: give it more.
    """
    return _restarts(optimizer, total_steps, warmup, cycles)


def cosine_hard_restarts_2(
    optimizer: Any, total_steps: int, *, warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1
) -> Any:
    """eta(t) = t / W, then (1 + cos(π (2u mod 1))) / 2 (H045, hard_restarts_2).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W).
    """
    return _restarts(optimizer, total_steps, warmup, 2)


def cosine_hard_restarts_3(
    optimizer: Any, total_steps: int, *, warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1
) -> Any:
    """eta(t) = t / W, then (1 + cos(π (3u mod 1))) / 2 (H046, hard_restarts_3).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W).
    """
    return _restarts(optimizer, total_steps, warmup, 3)


def polynomial_with_warmup(
    optimizer: Any,
    total_steps: int,
    *,
    warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1,
    power: Annotated[Power, Float(1, 4)] = 2.0,
    end: End = 0.0,
) -> Any:
    """eta(t) = t / W, then z + (1 - z) (1 - u)^p with p = `power`, z = `end` (H039, polynomial_warmup).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W).
    The original had p = 1 and was its H047; its end was an absolute rate.
    """
    return _polynomial(optimizer, total_steps, warmup, power, end)


def polynomial_with_warmup_1(
    optimizer: Any,
    total_steps: int,
    *,
    warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1,
    end: Annotated[End, Float(0, 0.3)] = 0.01,
) -> Any:
    """eta(t) = t / W, then z + (1 - z) (1 - u) with z = `end` (H047, polynomial_1).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W). Without an end above 0 it would be `linear-with-warmup`.
    """
    return _polynomial(optimizer, total_steps, warmup, 1, end)


def polynomial_with_warmup_3(
    optimizer: Any,
    total_steps: int,
    *,
    warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1,
    end: End = 0.0,
) -> Any:
    """eta(t) = t / W, then z + (1 - z) (1 - u)^3 with z = `end` (H048, polynomial_3).

    With W = ⌊warmup T⌉ and u = (t - W) / (T - W).
    """
    return _polynomial(optimizer, total_steps, warmup, 3, end)


def inverse_sqrt_with_warmup(
    optimizer: Any, total_steps: int, *, warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1
) -> Any:
    """eta(t) = t / W, then sqrt(W / t) (H042, inverse_sqrt); in a run of a single step 1 / sqrt(t + 1).

    With W = ⌊warmup T⌉. The original gave transformers no warm-up, and failed.
    """
    length = _warmup_steps(warmup, total_steps)
    scale = max(length, 1)

    def eta(t: int) -> float:
        return t / length if t < length else math.sqrt(scale / (t + scale - length))

    return follow(optimizer, eta)


def constant_with_warmup(
    optimizer: Any, total_steps: int, *, warmup: Annotated[Warmup, Float(0.02, 0.3)] = 0.1
) -> Any:
    """eta(t) = t / W, then 1 (H040, constant_warmup).

    With W = ⌊warmup T⌉.
    """
    return _warmed(optimizer, total_steps, warmup, lambda u: 1.0)


def constant_with_long_warmup(
    optimizer: Any, total_steps: int, *, warmup: Annotated[Warmup, Float(0.1, 0.4)] = 0.2
) -> Any:
    """eta(t) = t / W, then 1 (H049, constant, long warm-up).

    With W = ⌊warmup T⌉.
    """
    return _warmed(optimizer, total_steps, warmup, lambda u: 1.0)


def constant_with_short_warmup(
    optimizer: Any, total_steps: int, *, warmup: Annotated[Warmup, Float(0.01, 0.1)] = 0.05
) -> Any:
    """eta(t) = t / W, then 1 (H050, constant, short warm-up).

    With W = ⌊warmup T⌉.
    """
    return _warmed(optimizer, total_steps, warmup, lambda u: 1.0)


def _warmup_steps(warmup: float, total_steps: int) -> int:
    return min(steps(warmup, total_steps), total_steps - 1)


def _warmed(optimizer: Any, total_steps: int, warmup: float, rest: Callable[[float], float]) -> Any:
    """A warm-up, then `rest` of the place u in [0, 1]."""
    length = _warmup_steps(warmup, total_steps)

    def eta(t: int) -> float:
        return t / length if t < length else rest(done(t - length, total_steps - length))

    return follow(optimizer, eta)


def _restarts(optimizer: Any, total_steps: int, warmup: float, cycles: int) -> Any:
    return _warmed(
        optimizer, total_steps, warmup, lambda u: half_wave(cycles * u % 1) if u < 1 else 0.0
    )


def _polynomial(optimizer: Any, total_steps: int, warmup: float, power: float, end: float) -> Any:
    return _warmed(optimizer, total_steps, warmup, lambda u: end + (1 - end) * (1 - u) ** power)
