"""Random numbers by name: each image's are its own, whatever was drawn before it and in which process."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

Noise = np.ndarray[Any, np.dtype[np.float32]]


def chance(*names: object) -> random.Random:
    """The random numbers of what is called so; Python seeds from text by SHA-512, without salt."""
    return random.Random("/".join(str(name) for name in names))


def noise(source: random.Random, shape: tuple[int, ...], sigma: float) -> Noise:
    """Normal deviates of that standard deviation, many at once."""
    return np.random.default_rng(source.getrandbits(64)).normal(0, sigma, shape).astype(np.float32)
