"""A Gaussian process that is fitted in a few milliseconds.

Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006): k(x, x') is Matern 5/2 with a length scale for
each parameter (4.17), the noise is sigma_n**2, mean and variance are those of algorithm 2.1. Targets are expected to be
standardised, so the variance of the signal is 1. Instead of climbing the marginal likelihood, which takes hundreds of
factorisations and can get lost with few points, the best of `DRAWS` settings is taken, drawn from a prior around half
the range of each parameter. More is not worth its time for targets that are ranks of noisy scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

Floats = NDArray[np.float64]

DRAWS = 16
JUDGED = 80
"""Settings are compared on at most so many points."""

MEDIAN_LENGTH, SPREAD = 0.5, 1.0
"""The prior of a length scale: log-normal."""

NOISE = (1e-3, 0.3)
"""The prior of sigma_n**2: log-uniform."""


@dataclass(frozen=True)
class Gaussian:
    """A fitted process.

    `points` (n, features), `targets` (n,), `lengths` (features,), `factor` L (n, n), `weights` alpha (n,).
    """

    points: Floats
    targets: Floats
    lengths: Floats
    noise: float
    factor: Floats
    weights: Floats

    @classmethod
    def fit(
        cls,
        points: Floats,
        targets: Floats,
        owners: NDArray[np.intp],
        dice: np.random.Generator,
    ) -> Gaussian:
        """Choose the length scales and the noise. `owners` says which features share a length scale."""
        some = dice.permutation(len(points))[:JUDGED]
        best: Gaussian | None = None
        for _ in range(DRAWS):
            scales = MEDIAN_LENGTH * np.exp(SPREAD * dice.normal(size=owners.max(initial=-1) + 1))
            noise = float(np.exp(dice.uniform(*np.log(NOISE))))
            found = cls.given(points[some], targets[some], scales[owners], noise)
            if best is None or found.likelihood() > best.likelihood():
                best = found
        assert best is not None
        return cls.given(points, targets, best.lengths, best.noise)

    @classmethod
    def given(cls, points: Floats, targets: Floats, lengths: Floats, noise: float) -> Gaussian:
        """The process with these length scales and this noise."""
        covariance = _matern(points, points, lengths)
        covariance[np.diag_indices_from(covariance)] += noise
        factor: Floats = cholesky(covariance, lower=True, check_finite=False)
        weights: Floats = cho_solve((factor, True), targets, check_finite=False)
        return cls(points, targets, lengths, noise, factor, weights)

    def believing(self, points: Floats) -> Gaussian:
        """The process with its own predictions as targets at further points (k, features): it is sure of them.

        The kriging believer of Ginsbourger et al. (2010): what is being tried already has no more to teach.
        """
        if not len(points):
            return self
        everywhere = np.concatenate([self.points, points])
        targets = np.concatenate([self.targets, self.predict(points)[0]])
        return Gaussian.given(everywhere, targets, self.lengths, self.noise)

    def likelihood(self) -> float:
        """log p(y | X), up to a constant (5.8)."""
        return float(-0.5 * self.targets @ self.weights - np.log(np.diag(self.factor)).sum())

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the function, without noise, at points (m, features): (m,) each."""
        across = _matern(self.points, points, self.lengths)
        explained = solve_triangular(self.factor, across, lower=True, check_finite=False)
        variance = np.maximum(1.0 - (explained**2).sum(axis=0), 1e-9)
        return across.T @ self.weights, np.sqrt(variance)


def _matern(left: Floats, right: Floats, lengths: Floats) -> Floats:
    """Matern 5/2 between two sets of points."""
    a, b = left / lengths, right / lengths
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    scaled = np.sqrt(5 * np.maximum(squares, 0.0))
    covariance: Floats = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    return covariance
