"""Ranges that are too narrow: the best trials stand at an end of one.

The best trial of all must stand in the last tenth of a range. One trial may do so by chance, so the best quarter of
the trials that have the parameter, k in number, are asked as well: j of them are in the range's last quarter. Where the
parameter did not matter, j would be binomial with p = 0.25 (for whole numbers, the share of the values that are there):
so rare must j be, over all ends of all parameters, that chance had less than 1 in 20. A sampler that learns proposes
more of what was good, and of what it believes to be; so j must also be more than the share of all trials that are there
would give (hypergeometric, 1 in 10).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from hpo_core.recommending.finding import Edit, Finding
from hpo_core.recommending.studied import Studied
from hpo_core.space import Choice, Float, Int, written

FEWEST = 8
END = 0.1  # of a range: where the best one is
QUARTER = 0.25  # of a range, and of the trials
CHANCE = 0.05
CONTRAST = 0.1
DECADE = 10.0

Range = Float | Int


def edges(study: Studied) -> Iterator[Finding]:
    """A finding for each end of a range where the best trials stand."""
    numeric = {
        name: each
        for name, each in study.space.items()
        if not isinstance(each, Choice) and each.high > each.low
    }
    for name, distribution in numeric.items():
        for high in (False, True):
            found = _edge(study, name, distribution, high, 2 * len(numeric))
            if found is not None:
                yield found


def _edge(study: Studied, name: str, given: Range, high: bool, ends: int) -> Finding | None:
    having = [trial for trial in study.good if name in trial.params]
    if len(having) < FEWEST:
        return None
    best = having[: max(3, math.ceil(QUARTER * len(having)))]
    there = [_near(given, trial.params[name], high, QUARTER) for trial in having]
    hits, everywhere = sum(there[: len(best)]), sum(there)
    chance = min(1.0, ends * _binomial(hits, len(best), _zone(given)))
    contrast = _hypergeometric(hits, len(best), everywhere, len(having))
    at_the_end = _near(given, having[0].params[name], high, END)
    if not at_the_end or chance > CHANCE or contrast > CONTRAST:
        return None
    end = given.high if high else given.low
    wider = _wider(given, high)
    value = having[0].params[name]
    return Finding(
        "range-edge",
        f"the best trials have {name} at the {'upper' if high else 'lower'} end of its range: better values may lie "
        f"{'above' if high else 'below'} {end:g}",
        {
            "parameter": name,
            "end": end,
            "best_value": value,
            "best_trial": having[0].number,
            "best_trials": len(best),
            "of_them_in_last_quarter": hits,
            "trials": len(having),
            "in_last_quarter": everywhere,
            "p": chance,
        },
        () if wider is None else (Edit(study.paths[name], written(wider)),),
        "" if wider is not None else "its range ends where its values do",
    )


def _near(given: Range, value: float, high: bool, share: float) -> bool:
    """Whether a value stands in the last part of a range, or is the last one of it."""
    scale = math.log if given.log else float
    width = scale(given.high) - scale(given.low)
    distance = scale(given.high) - scale(value) if high else scale(value) - scale(given.low)
    return distance <= share * width + 1e-12


def _zone(given: Range) -> float:
    """The share of a range's values that are in its last quarter."""
    if given.log or given.step is None:
        values = given.high - given.low + 1 if isinstance(given, Int) else math.inf
        return max(QUARTER, 1 / values)
    count = round((given.high - given.low) / given.step) + 1
    return (math.floor(QUARTER * (count - 1) + 1e-9) + 1) / count


def _wider(given: Range, high: bool) -> Range | None:
    """A range that goes on beyond an end: by a decade of a logarithm, or else by half; None where there is nothing."""
    if given.log:
        factor = min(DECADE, given.high / given.low)
        ends = (given.low, given.high * factor) if high else (given.low / factor, given.high)
        if isinstance(given, Int):
            return _whole(given, max(1, round(ends[0])), round(ends[1]))
        return Float(_short(ends[0]), _short(ends[1]), True, None)
    if not high and given.low == 0:  # a rate, a share, a momentum: there is nothing below
        return None
    half = (given.high - given.low) / 2
    if given.step is not None:
        half = max(1, round(half / given.step)) * given.step
    low, top = (given.low, given.high + half) if high else (given.low - half, given.high)
    if isinstance(given, Int):
        return _whole(given, _above_zero(given, round(low)), round(top))
    return Float(0.0 if low < 0 < given.low else _short(low), _short(top), False, given.step)


def _whole(given: Int, low: int, high: int) -> Int | None:
    if (low, high) == (given.low, given.high):
        return None
    return Int(low, high, given.log, given.step)


def _above_zero(given: Int, low: int) -> int:
    """A new low end, which does not pass 0 where the old one did not."""
    return low if given.low <= 0 or low > 0 else given.low % given.step or given.step


def _short(value: float) -> float:
    """Without the dust of binary fractions."""
    return float(f"{value:.6g}")


def _binomial(hits: int, n: int, p: float) -> float:
    """The chance of so many hits or more."""
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(hits, n + 1))


def _hypergeometric(hits: int, drawn: int, marked: int, whole: int) -> float:
    """The chance of so many marked ones or more among those drawn."""
    ways = sum(
        math.comb(marked, k) * math.comb(whole - marked, drawn - k)
        for k in range(hits, min(drawn, marked) + 1)
    )
    return float(Fraction(ways, math.comb(whole, drawn)))
