"""A function of two numbers with three minima: what a study without any training tunes."""

from __future__ import annotations

import math


def branin(x: float, y: float) -> float:
    """Branin's function on [-5, 10] x [0, 15]; its least value is 0.397887 (Dixon and Szegö, 1978)."""
    parabola = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
