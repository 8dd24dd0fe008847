"""The criteria of a study (`success_criteria:`), judged from an evaluation.

A share of images that was measured on n of them is known with an error: 17 of 20 right may as well be 64 % as 95 %. The
judgement is by what was measured, and says so where the interval does not exclude the contrary. Intervals are Wilson's
(1927), of 95 %: unlike the textbook's p +- 1.96 sqrt(p(1-p)/n) they hold for few images and for shares near 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hpo_core.evaluation import Evaluation
from hpo_core.trial import ClassReport

Z = 1.959963984540054
"""The quantile of the normal distribution with 2.5 % beyond it."""

ROUNDED = 1e-6
"""What a share may lack or have too much because it was told in 32 bits."""


@dataclass(frozen=True)
class Gate:
    """How one criterion was judged.

    `value` is what was measured, on `n` images; None: it was not, and has not passed. `low` and `high` are the interval
    of a share, `whose` the class that it is one's, and `sure` tells whether the interval excludes the contrary.
    """

    name: str
    bound: float
    passed: bool
    reason: str
    value: float | None = None
    n: int = 0
    low: float | None = None
    high: float | None = None
    sure: bool = False
    whose: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is stored: a class stands under `class`, where there is one."""
        found = asdict(self)
        whose = found.pop("whose")
        return found if whose is None else found | {"class": whose}


def wilson(hits: float, n: int) -> tuple[float, float]:
    """The interval of a share that was `hits` of `n`."""
    if n == 0:
        return 0.0, 1.0
    share, square = hits / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # which rounding may put beside the share that it is about
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def stored(evaluation: Evaluation, criteria: Mapping[str, float]) -> dict[str, Any]:
    """What a version keeps of its evaluation: numbers, intervals of shares, and how each criterion was judged."""
    metrics, intervals = dict(evaluation.metrics), {}
    share = _largest_share(evaluation)
    if share is not None:
        metrics["largest_share"] = share.value
    if "accuracy" in metrics and evaluation.n:
        intervals["accuracy"] = wilson(metrics["accuracy"] * evaluation.n, evaluation.n)
    return evaluation.to_json() | {
        "metrics": metrics,
        "intervals": {name: list(bounds) for name, bounds in intervals.items()},
        "gates": [_judged(name, bound, evaluation).to_json() for name, bound in criteria.items()],
    }


def doubts(gates: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Of gates as they are stored: what is said of those that were passed, but not surely."""
    for gate in gates:
        if gate["passed"] and gate.get("sure") is False:
            yield f"{gate['name']}: {gate['reason']}"


@dataclass(frozen=True)
class _Share:
    """`value` of `n` images; `whose` is the class that it is one's."""

    value: float
    n: int
    whose: str | None = None

    @classmethod
    def of(cls, value: float, n: int, whose: str | None = None) -> _Share:
        """The share that `value` is meant to be: in 32 bits, 9 of 10 is less than 0.9, and would not pass for it."""
        exact = round(value * n) / n
        return cls(exact if abs(exact - value) < ROUNDED else value, n, whose)


def _judged(name: str, bound: float, evaluation: Evaluation) -> Gate:
    found = _FOUND[name](evaluation) if evaluation.n else None
    if found is None:
        why = evaluation.reason or f"the objective does not tell its {name}"
        return Gate(name, bound, False, f"it was not measured: {why}")
    if isinstance(found, float):
        passed = found <= bound
        said = f"{found:.4g}, {'no' if passed else 'which is'} more than {bound:g}"
        return Gate(name, bound, passed, said, found, evaluation.n, sure=True)
    return _judged_share(name, bound, found)


def _judged_share(name: str, bound: float, share: _Share) -> Gate:
    low, high = wilson(share.value * share.n, share.n)
    below = name in _AT_MOST
    passed = share.value <= bound if below else share.value >= bound
    sure = (high <= bound if below else low >= bound) if passed else not low <= bound <= high
    said = f"{share.value:.4f}, {_compared(passed, below)} {bound:g}"
    said += f" ({share.n} images, 95 % interval {low:.4f} to {high:.4f})"
    if share.whose is not None:
        said = f"class '{share.whose}' has {said}"
    if not sure:
        said += f", which does not exclude {'failure' if passed else 'success'}"
    return Gate(name, bound, passed, said, share.value, share.n, low, high, sure, share.whose)


def _compared(passed: bool, below: bool) -> str:
    if below:
        return "no more than" if passed else "which is more than"
    return "at least" if passed else "which is less than"


# ---- where each criterion's number comes from ----


def _accuracy(evaluation: Evaluation) -> _Share | None:
    value = evaluation.metrics.get("accuracy")
    return None if value is None else _Share.of(value, evaluation.n)


def _worst_recall(evaluation: Evaluation) -> _Share | None:
    """Of the class with the lowest recall, of those that have images; of the largest class among equals."""
    if evaluation.classes is None:
        return None
    images = _images(evaluation.classes)
    known = [
        _Share.of(recall, images[index], evaluation.classes.classes[index])
        for index, recall in enumerate(evaluation.classes.recall)
        if images[index]
    ]
    return min(known, key=lambda share: (share.value, -share.n), default=None)


def _largest_share(evaluation: Evaluation) -> _Share | None:
    """Of the class that most images are taken for: near 1 for a model that has collapsed to one class."""
    if evaluation.classes is None:
        return None
    taken = [0] * len(evaluation.classes.classes)
    for _, guess, count in evaluation.classes.confusion:
        taken[guess] += count
    total, most = sum(taken), max(taken, default=0)
    if not total:
        return None
    return _Share(most / total, total, evaluation.classes.classes[taken.index(most)])


def _images(report: ClassReport) -> list[int]:
    """The images of each class."""
    found = [0] * len(report.classes)
    for label, _, count in report.confusion:
        found[label] += count
    return found


def _number(name: str) -> Any:
    return lambda evaluation: _float(evaluation.metrics.get(name))


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


_AT_MOST = ("largest_share", "calibration_error", "latency_seconds")

_FOUND: Mapping[str, Any] = {
    "accuracy": _accuracy,
    "per_class_recall": _worst_recall,
    "largest_share": _largest_share,
    "calibration_error": _number("ece"),
    "latency_seconds": _number("latency_seconds"),
}
