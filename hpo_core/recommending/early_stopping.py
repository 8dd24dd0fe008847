"""Trial schedulers that stop trials too early, or by what says nothing of the end.

Whether an epoch may decide who goes on is asked of the one after which most trials were stopped: by Spearman's
correlation between the values at it and at the latest epoch that enough trials reached, over those that reached both.
But these were chosen by the earlier one: where only the best third goes on, their values differ less, and a correlation
that holds over all trials looks weaker in them. So it is corrected for the restriction of range (Thorndike 1949,
case II): with u the ratio of the standard deviations of all and of the chosen at the earlier epoch,

    r' = r u / sqrt(1 - r^2 + r^2 u^2).

That is exact for a linear relation with even scatter and an approximation for ranks; what chance left in r grows with
u. So the upper end of a one-sided 95 % interval (Fisher's z, with Bonett and Wright's 2000 variance for ranks) is
corrected too, and it alone decides: below 0.7, the rung orders trials too badly for a third to be chosen by it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import pstdev

from hpo_core.recommending.finding import Edit, Finding
from hpo_core.recommending.studied import Studied
from hpo_core.results.trials import ResultTrial

FEWEST = 8  # trials for a correlation
MOST = 0.9  # of the trials: practically all
NEEDED = 0.7
Z = 1.645  # one-sided 95 %

_TOLD = "they were chosen by the earlier value: the correlation is corrected for that, which only holds roughly"


def first_rung(study: Studied) -> Iterator[Finding]:
    """Nearly every trial was stopped at the first epoch at which it could be."""
    stopped = _stopped(study)
    first = min((trial.epochs for trial in stopped), default=0)
    able = [trial for trial in study.good if study.planned(trial) > first]
    ended = [trial for trial in stopped if trial.epochs == first]
    if not stopped or len(able) < FEWEST or len(ended) < MOST * len(able):
        return
    options = study.identity["trial_scheduler"]
    later = min(first * 3, max(first + 1, study.epochs // 2))
    edits = []
    if "min_epochs" in options:
        edits.append(Edit("trial_scheduler.min_epochs", later))
    yield Finding(
        "first-rung",
        f"{len(ended)} of {len(able)} trials were stopped after {_epochs(first)}, the first at which "
        f"'{options['name']}' may: hardly any shows how it goes on",
        {
            "trials": len(able),
            "stopped_at_first": len(ended),
            "first": first,
            "planned": study.epochs,
            "complete": sum(trial.state == "complete" for trial in able),
        },
        tuple(edits),
    )


def rungs_disagree(study: Studied) -> Iterator[Finding]:
    """What decided who goes on has little to do with how it ends."""
    stopped = _stopped(study)
    if not stopped:
        return
    ended = Counter(trial.epochs for trial in stopped)
    rung = min(ended, key=lambda epoch: (-ended[epoch], epoch))
    last = _last(study, rung)
    worst = _correlation(study, rung, last) if rung < last else None
    if worst is None or worst.upper >= NEEDED:
        return
    yield Finding(
        "rungs-disagree",
        f"how trials do after {_epochs(worst.rung)} says little of how they do after {last}: trials are stopped there "
        "by what looks like chance",
        {
            "rung": worst.rung,
            "later": last,
            "trials": worst.n,
            "reached_rung": worst.reached,
            "spearman": worst.r,
            "corrected": worst.corrected,
            "corrected_upper_95": worst.upper,
        },
        (_mend(study, worst.rung, last),),
        _TOLD if worst.n < worst.reached else "",
    )


@dataclass(frozen=True)
class _Correlation:
    """Between the values at a rung and at a later one, of the `n` trials that reached both."""

    rung: int
    n: int
    reached: int
    r: float
    corrected: float
    upper: float


def _stopped(study: Studied) -> list[ResultTrial]:
    """The trials that were ended before their last epoch."""
    return [t for t in study.good if t.state == "pruned" and 0 < t.epochs < study.planned(t)]


def _last(study: Studied, first: int) -> int:
    """The latest epoch that enough trials reached."""
    reached = Counter(trial.epochs for trial in study.good)
    enough = [
        epoch
        for epoch in reached
        if epoch > first and sum(n for e, n in reached.items() if e >= epoch) >= FEWEST
    ]
    return max(enough, default=first)


def _correlation(study: Studied, rung: int, last: int) -> _Correlation | None:
    all_at = [value for trial in study.good if (value := _at(study, trial, rung)) is not None]
    pairs = [
        (early, late)
        for trial in study.good
        if (early := _at(study, trial, rung)) is not None
        and (late := _at(study, trial, last)) is not None
    ]
    n = len(pairs)
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if n < FEWEST or len(set(before)) < 3 or len(set(after)) < 3:
        return None
    r = _pearson(_ranks(before), _ranks(after))
    u = max(1.0, _spread(all_at, before))
    z = math.atanh(max(-0.999, min(0.999, r)))
    upper = math.tanh(z + Z * math.sqrt((1 + r * r / 2) / (n - 3)))
    return _Correlation(rung, n, len(all_at), r, _corrected(r, u), _corrected(upper, u))


def _at(study: Studied, trial: ResultTrial, epoch: int) -> float | None:
    """What a trial scheduler saw of a trial at an epoch."""
    value = trial.curves.get(study.metric, {}).get(epoch)
    return value if value is not None and math.isfinite(value) else None


def _spread(every: Sequence[float], chosen: Sequence[float]) -> float:
    """How much more all values differ than those of the chosen, by their ranks among all."""
    order = dict(zip(every, _ranks(every), strict=True))
    return pstdev(order.values()) / max(1e-9, pstdev(order[value] for value in chosen))


def _corrected(r: float, u: float) -> float:
    return r * u / math.sqrt(1 - r * r + r * r * u * u)


def _mend(study: Studied, rung: int, last: int) -> Edit:
    """Let the first rung be the first epoch that does agree with the last; without one, stop no trial."""
    if "min_epochs" in study.identity["trial_scheduler"]:
        for epoch in range(rung + 1, last):
            found = _correlation(study, epoch, last)
            if found is not None and found.corrected >= NEEDED:
                return Edit("trial_scheduler.min_epochs", epoch)
    return Edit("trial_scheduler", "none")


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equals share their mean."""
    order = sorted(values)
    first = {value: order.index(value) for value in set(values)}
    count = Counter(values)
    return [first[value] + (count[value] + 1) / 2 for value in values]


def _pearson(a: Sequence[float], b: Sequence[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    both = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return both / math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"
