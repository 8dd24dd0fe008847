"""Differences that are no greater than those between seeds.

Configurations are told apart by every parameter but those that stand for repetition (`hpo_core.results.runs`). With s
the spread over seeds, pooled over the configurations that have several, the difference of two means of k seeds has the
standard error s sqrt(2 / k). The best two are told apart where they differ by more than twice that. How many seeds that
would take follows from the difference d that was seen: k = 2 ((1.96 + 0.84) s / d)^2, for a power of 80 %.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from statistics import fmean, variance
from typing import Any

from hpo_core.recommending.finding import Edit, Finding
from hpo_core.recommending.studied import Studied
from hpo_core.results import runs
from hpo_core.space import Choice, Int

MOST = 50
"""More seeds than that are not proposed."""


def within_noise(study: Studied) -> Iterator[Finding]:
    """The best configuration is not known to be the best. Trials that were stopped are left out."""
    blocks = [name for name in study.space if runs.is_repetition(name)]
    if not blocks:
        return
    groups: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
    for trial in study.good:
        if trial.state == "complete" and trial.value is not None:
            groups[tuple((k, v) for k, v in trial.params.items() if k not in blocks)].append(
                trial.value
            )
    several = {key: values for key, values in groups.items() if len(values) > 1}
    if len(several) < 2:
        return
    sign = 1 if study.goal == "maximize" else -1
    order = sorted(several, key=lambda key: -sign * fmean(several[key]))
    first, second = several[order[0]], several[order[1]]
    freedom = sum(len(values) - 1 for values in several.values())
    noise = math.sqrt(sum(variance(v) * (len(v) - 1) for v in several.values()) / freedom)
    difference = sign * (fmean(first) - fmean(second))
    error = noise * math.sqrt(1 / len(first) + 1 / len(second))
    if difference > 2 * error or noise == 0:
        return
    alike = sum(sign * (fmean(first) - fmean(several[key])) <= 2 * error for key in order)
    equal = difference <= 1e-9 * noise
    needed = MOST + 1 if equal else math.ceil(2 * ((1.96 + 0.84) * noise / difference) ** 2)
    yield Finding(
        "seeds-within-noise",
        f"the best two configurations differ by less than chance may make them differ: {alike} of "
        f"{len(several)} may be the best",
        {
            "best": dict(order[0]),
            "second": dict(order[1]),
            "means": [fmean(first), fmean(second)],
            "seeds": [len(first), len(second)],
            "difference": difference,
            "spread_over_seeds": noise,
            "standard_error": error,
            "may_be_best": alike,
            "seeds_needed": needed,
        },
        tuple(_more(study, blocks, min(MOST, needed))),
        f"more than {MOST} seeds would be needed: call them equal" if needed > MOST else "",
    )


def _more(study: Studied, blocks: list[str], needed: int) -> Iterator[Edit]:
    """More seeds, where they are whole numbers."""
    name = blocks[0]
    given = study.space[name]
    if isinstance(given, Int) and given.high - given.low + 1 < needed:
        yield Edit(study.paths[name], {"int": [given.low, given.low + needed - 1]})
    if isinstance(given, Choice) and len(given.labels) < needed:
        whole = [each for each in given.labels if type(each) is int]
        if len(whole) == len(given.labels):
            new = [each for each in range(needed + max(whole) + 1) if each not in whole]
            yield Edit(study.paths[name], {"choice": [*whole, *new[: needed - len(whole)]]})
