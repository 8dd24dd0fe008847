"""Two or more things side by side: studies, models, LR schedulers. The others are compared with the first.

Runs are compared at the largest epoch that all runs of both reached. Where runs can be paired by blocks their
differences are tested (Wilcoxon's signed-rank test); elsewhere the groups are (Mann and Whitney's U test).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hpo_core.errors import UsageError, nearest
from hpo_core.results import caveats, significance
from hpo_core.results.names import Key, Names
from hpo_core.results.ranking import block_keys, paired
from hpo_core.results.runs import Run, Runs, collect, common_epoch, common_metric, shown
from hpo_core.results.significance import Interval, TestResult
from hpo_core.results.trials import ResultTrial
from hpo_core.trial import Goal


@dataclass(frozen=True)
class Difference:
    """How one level differs from the first, in the metric at `epoch`; positive where it has the greater value.

    `paired` is the number of pairs, or None where runs were not paired. `p` is the test's, corrected by Holm.
    """

    first: str
    other: str
    epoch: int | None
    mean_first: Interval | None
    mean_other: Interval | None
    difference: Interval | None
    paired: int | None
    test: TestResult | None
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """Levels compared with the first of them."""

    by: str
    metric: str
    goal: Goal
    blocks: tuple[str, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def compare(
    trials: Sequence[ResultTrial],
    levels: Sequence[str],
    by: str | None = None,
    blocks: Sequence[str] | None = None,
    metric: str | None = None,
    epoch: int | None = None,
) -> Comparison:
    """Compare levels of the option `by` (None: the one that has all of them as values; `study` for studies).

    Raises UsageError with the nearest name.
    """
    if len(set(levels)) < 2:
        raise UsageError(
            f"'{levels[0]}' is compared with nothing: name two studies, or two values of an option"
        )
    names = Names(trials)
    key = _key(trials, names, levels) if by is None else names.option(by)
    _check(trials, key, levels)
    members = [trial for trial in trials if shown(key.of(trial)) in levels]
    metric, goal = common_metric(members, metric)
    keys = block_keys(names, members, key, blocks)
    runs = collect(members, key, keys, metric, goal, epoch)
    for level in levels:
        if all(run.failed for run in runs.by_level.get(level, {}).values()):
            raise UsageError(f"no finished trial of '{level}' reported {metric}")
    found = [_difference(runs, levels[0], other) for other in levels[1:]]
    corrected = significance.holm([None if each.test is None else each.test.p for each in found])
    differences = tuple(replace(each, p=p) for each, p in zip(found, corrected, strict=True))
    notes = (*runs.notes, *caveats.of_pairs([each.paired for each in differences]))
    return Comparison(key.name, metric, goal, runs.blocks, differences, notes)


def _difference(runs: Runs, first: str, other: str) -> Difference:
    """Paired where there are at least two pairs."""
    a, b = (
        [run for run in runs.by_level[name].values() if not run.failed] for name in (first, other)
    )
    pairs = paired(runs.by_level[first], runs.by_level[other]) if runs.blocks else []
    if len(pairs) > 1:
        a, b = [one for one, _ in pairs], [two for _, two in pairs]
    epoch = common_epoch([*a, *b])
    if epoch is None:
        return Difference(first, other, None, None, None, None, None, None, None)
    xs, ys = _values(a, epoch), _values(b, epoch)
    if len(pairs) > 1:
        differences = [y - x for x, y in zip(xs, ys, strict=True)]
        whole, test = significance.interval(differences), significance.wilcoxon(differences)
    else:
        whole, test = significance.difference(xs, ys), significance.mann_whitney(xs, ys)
    means = significance.interval(xs), significance.interval(ys)
    count = len(pairs) if len(pairs) > 1 else None
    return Difference(first, other, epoch, *means, whole, count, test, None)


def _values(runs: Sequence[Run], epoch: int) -> list[float]:
    return [run.best(epoch) for run in runs]


def _key(trials: Sequence[ResultTrial], names: Names, levels: Sequence[str]) -> Key:
    """What the levels are values of: studies first, then options."""
    study = Key("attributes", "study")
    keys = [study, *(Key("params", name) for name in names.options)]
    values = {key: {shown(key.of(trial)) for trial in trials} for key in keys}
    found = [key for key, known in values.items() if known.issuperset(levels)]
    if study in found:
        return study
    if len(found) > 1:
        told = ", ".join(key.name for key in found)
        raise UsageError(f"{', '.join(levels)} are values of {told}: name one of them with --by")
    if found:
        return found[0]
    everything = sorted({value for known in values.values() for value in known})
    for level in levels:
        if level not in everything:
            guess = nearest(level, everything)
            hint = f" - did you mean '{guess}'?" if guess else ""
            raise UsageError(f"'{level}' is neither a study nor the value of any option{hint}")
    raise UsageError(f"no option has all of {', '.join(levels)} as values")


def _check(trials: Sequence[ResultTrial], key: Key, levels: Sequence[str]) -> None:
    known = sorted({shown(key.of(trial)) for trial in trials})
    for level in levels:
        if level not in known:
            guess = nearest(level, known)
            hint = f" - did you mean '{guess}'?" if guess else f" (there is: {', '.join(known)})"
            raise UsageError(f"no trial has the {key.name} '{level}'{hint}")
