"""Which level of an option is best: LR schedulers per model, over seeds.

Levels are ordered by the mean part of their epochs that their runs were given, then by the mean of the best value at
the largest epoch that all of the level's runs reached. Where nothing was stopped early, the first is the same for all
and the second decides. Friedman's test ranks the levels within each block in the same order. See
`hpo_core.results.runs` for why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from hpo_core.errors import UsageError
from hpo_core.results import caveats, convergence, significance
from hpo_core.results.names import Key, Names
from hpo_core.results.runs import (
    Block,
    Run,
    Runs,
    collect,
    common_epoch,
    common_metric,
    seed_like,
    shown,
)
from hpo_core.results.significance import Interval, TestResult
from hpo_core.results.trials import ResultTrial
from hpo_core.trial import Goal


@dataclass(frozen=True)
class Place:
    """A level in a ranking.

    `best` is the mean of the best values up to `epoch`, `final` that of the values at it: the largest epoch that all
    its runs reached. `reached` are the epochs of its runs, most first; a failed run has 0 and is in no mean. `rank` is
    the mean rank within the complete blocks, `p` what Wilcoxon's test says of the difference to the first level,
    corrected by Holm. `to_share` and `area` are means of the runs (`hpo_core.results.convergence`), `diverged` counts
    them.
    """

    level: str
    runs: int
    failed: int
    reached: tuple[int, ...]
    epoch: int | None
    best: Interval | None
    final: Interval | None
    rank: float | None
    p: float | None
    to_share: float | None
    area: float | None
    diverged: int

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Ranking:
    """The levels of one option, best first, among the trials of one group (a model, say)."""

    by: str
    per: str | None
    group: str | None
    metric: str
    goal: Goal
    blocks: tuple[str, ...]
    complete_blocks: int
    friedman: TestResult | None
    places: tuple[Place, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def rank(
    trials: Sequence[ResultTrial],
    by: str,
    per: str | None = None,
    blocks: Sequence[str] | None = None,
    metric: str | None = None,
    epoch: int | None = None,
    share: float = 0.95,
) -> list[Ranking]:
    """Rank the levels of an option, once for each value of `per`.

    `blocks` names what runs are paired by; None: the searched options that are called like seeds, and the study where
    there are several. Raises UsageError with the nearest name.
    """
    if not any(trial.finished for trial in trials):
        raise UsageError("there is no finished trial to rank")
    names = Names(trials)
    metric, goal = common_metric(trials, metric)
    level = names.option(by)
    group = None if per is None else names.option(per)
    groups: defaultdict[str | None, list[ResultTrial]] = defaultdict(list)
    for trial in trials:
        groups[None if group is None else shown(group.of(trial))].append(trial)
    found = []
    for name, members in sorted(groups.items(), key=lambda item: item[0] or ""):
        keys = block_keys(names, members, level, blocks)
        runs = collect(members, level, keys, metric, goal, epoch)
        if runs.by_level:
            found.append(
                _ranking(runs, level.name, None if group is None else group.name, name, share)
            )
    return found


def block_keys(
    names: Names, trials: Sequence[ResultTrial], level: Key, given: Sequence[str] | None
) -> list[Key]:
    """What runs are paired by."""
    if given is not None:
        return [names.option(name) for name in given]
    keys = [key for key in seed_like(names, trials) if key != level]
    study = Key("attributes", "study")
    return (
        [study, *keys] if keys and level != study and len({t.study for t in trials}) > 1 else keys
    )


def _ranking(runs: Runs, by: str, per: str | None, group: str | None, share: float) -> Ranking:
    levels = sorted(runs.by_level, key=lambda name: _order(runs, name))
    complete = runs.complete()
    ranks = [_ranks([runs.by_level[name][block] for name in levels]) for block in complete]
    tests = [_against(runs, levels[0], name) for name in levels]
    corrected = significance.holm([None if test is None else test.p for test in tests])
    places = [
        _place(
            runs, name, fmean(r[index] for r in ranks) if ranks else None, corrected[index], share
        )
        for index, name in enumerate(levels)
    ]
    friedman = significance.friedman(ranks) if ranks else None
    pairs = max((test.n for test in tests if test is not None), default=0)
    notes = [*runs.notes, *caveats.of_ranking(runs, len(complete), friedman, pairs)]
    return Ranking(
        by,
        per,
        group,
        runs.metric,
        runs.goal,
        runs.blocks,
        len(complete),
        friedman,
        tuple(places),
        tuple(notes),
    )


def _order(runs: Runs, name: str) -> tuple[float, float, str]:
    each = list(runs.by_level[name].values())
    good = [run for run in each if not run.failed]
    epoch = common_epoch(good)
    if epoch is None:
        return 0.0, 0.0, name
    mean = fmean(run.best(epoch) for run in good)
    return -fmean(run.share for run in each), -mean if runs.goal == "maximize" else mean, name


def _ranks(runs: list[Run]) -> list[float]:
    """Their ranks, 1 for the best; equal ones share the mean of theirs."""
    from scipy.stats import rankdata

    order = sorted({run.merit() for run in runs}, reverse=True)
    return [float(r) for r in rankdata([order.index(run.merit()) for run in runs])]


def _against(runs: Runs, first: str, other: str) -> TestResult | None:
    """Wilcoxon's test of a level against the first one, over the blocks in which neither failed."""
    if first == other or not runs.blocks:
        return None
    pairs = paired(runs.by_level[first], runs.by_level[other])
    epoch = common_epoch(run for pair in pairs for run in pair)
    if epoch is None:
        return None
    return significance.wilcoxon([b.best(epoch) - a.best(epoch) for a, b in pairs])


def paired(first: dict[Block, Run], second: dict[Block, Run]) -> list[tuple[Run, Run]]:
    """The runs of two levels in the blocks in which neither failed."""
    return [
        (run, second[block])
        for block, run in sorted(first.items(), key=lambda item: repr(item[0]))
        if block in second and not run.failed and not second[block].failed
    ]


def _place(runs: Runs, name: str, rank: float | None, p: float | None, share: float) -> Place:
    each = list(runs.by_level[name].values())
    good = [run for run in each if not run.failed]
    epoch = common_epoch(good)
    told = [convergence.of(run.trial, runs.metric, share) for run in each]
    to_share = [c.to_share for c in told if c.to_share is not None]
    areas = [
        convergence.area({s: v for s, v in run.curve.items() if s <= epoch})
        for run in good
        if epoch is not None
    ]
    return Place(
        level=name,
        runs=len(each),
        failed=len(each) - len(good),
        reached=tuple(sorted((0 if r.failed else r.reached for r in each), reverse=True)),
        epoch=epoch,
        best=None if epoch is None else significance.interval([r.best(epoch) for r in good]),
        final=None if epoch is None else significance.interval([r.final(epoch) for r in good]),
        rank=rank,
        p=p,
        to_share=fmean(to_share) if to_share else None,
        area=fmean(a for a in areas if a is not None) if areas else None,
        diverged=sum(c.diverged is not None for c in told),
    )
