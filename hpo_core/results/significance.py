"""Intervals and tests, by scipy, with what must be said when there are too few runs for one.

Intervals are percentile bootstraps of the mean: resampled means, 2.5 % of them below and above. They are seeded, so
that a question has one answer. Of two runs such an interval is their range and no more.

Friedman's test (1937) asks whether k levels rank alike over blocks; Wilcoxon's signed-rank test (1945) whether the
paired differences of two lie around 0; Holm (1979) corrects for asking it of several pairs. See Demsar 2006,
"Statistical comparisons of classifiers over multiple data sets", for the use of the three together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
RESAMPLES = 5000
LEVEL = 0.05


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; `low` and `high` are None for a single number."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class TestResult:
    """What a test says. `n` is the number of blocks, or of pairs."""

    __test__ = False  # it is not one of pytest's

    name: str
    statistic: float
    p: float
    n: int


def interval(values: Sequence[float]) -> Interval:
    """The mean of some runs and its bootstrap interval."""
    import numpy

    array = numpy.asarray(values, dtype=float)
    mean = float(array.mean())
    if len(array) < 2:
        return Interval(mean, None, None, len(array))
    return Interval(mean, *_bootstrap((array,), numpy.mean), len(array))


def difference(first: Sequence[float], second: Sequence[float]) -> Interval:
    """The difference of the means of two groups of runs that are not paired, second - first."""
    import numpy

    a, b = (numpy.asarray(values, dtype=float) for values in (first, second))
    mean = float(b.mean() - a.mean())
    if min(len(a), len(b)) < 2:
        return Interval(mean, None, None, min(len(a), len(b)))

    def statistic(x: numpy.ndarray, y: numpy.ndarray, axis: int = -1) -> numpy.ndarray:
        return numpy.asarray(y.mean(axis=axis) - x.mean(axis=axis))

    return Interval(mean, *_bootstrap((a, b), statistic), min(len(a), len(b)))


def friedman(blocks: Sequence[Sequence[float]]) -> TestResult | None:
    """Whether the levels rank alike; `blocks` hold a number for each level, greater is better or all of them less.

    None with fewer than three levels or two blocks, or where every block is a tie.
    """
    from scipy import stats

    if len(blocks) < 2 or len(blocks[0]) < 3 or all(len(set(block)) == 1 for block in blocks):
        return None
    found = stats.friedmanchisquare(*zip(*blocks, strict=True))
    return TestResult("friedman", float(found.statistic), float(found.pvalue), len(blocks))


def wilcoxon(differences: Sequence[float]) -> TestResult | None:
    """Whether paired differences lie around 0, two-sided. None without any pair."""
    from scipy import stats

    if not differences:
        return None
    if not any(differences):
        return TestResult("wilcoxon", 0.0, 1.0, len(differences))
    found = stats.wilcoxon(differences)
    return TestResult("wilcoxon", float(found.statistic), float(found.pvalue), len(differences))


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> TestResult | None:
    """Whether runs that are not paired come from one distribution, two-sided. None where a group is empty."""
    from scipy import stats

    if not first or not second:
        return None
    found = stats.mannwhitneyu(first, second, alternative="two-sided")
    n = min(len(first), len(second))
    return TestResult("mann-whitney", float(found.statistic), float(found.pvalue), n)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's correction of several p-values, in their order; None stays None and is not counted."""
    known = sorted((p, index) for index, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, (p, index) in enumerate(known):
        least = max(least, min(1.0, p * (len(known) - rank)))
        corrected[index] = least
    return corrected


def least_p(pairs: int) -> float:
    """The least p that the signed-rank test can give: every one of the 2^n signs alike, two-sided."""
    return float(min(1.0, 2.0 / 2**pairs))


def pairs_needed(comparisons: int) -> int:
    """How many pairs it takes before `comparisons` tests could show anything after Holm's correction."""
    pairs = 1
    while least_p(pairs) * comparisons > LEVEL:
        pairs += 1
    return pairs


def _bootstrap(samples: tuple[object, ...], statistic: object) -> tuple[float, float]:
    import numpy
    from scipy import stats

    found = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=numpy.random.default_rng(0),
    )
    limits = found.confidence_interval
    return float(limits.low), float(limits.high)
