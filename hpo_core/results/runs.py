"""Trials as runs to be compared: of a level (an LR scheduler, say), in a block (a seed), with a curve.

Levels are the values of one option, or studies. Blocks are what runs are paired by: the values of options that stand
for repetition, such as `dataset.split_seed`, and the study. Only within a block are two runs alike in all but the
level.

A trial that its trial scheduler stopped has no value at the last epoch: it is *censored*. Dropping it would praise
every level for its survivors, and comparing its best with that of a run four times as long would punish it twice. So
values are only ever compared at one epoch that both runs reached (the largest such), and how many epochs a run was
given is itself a result, for the trial scheduler gave them by merit. A run that failed reached no epoch at all.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hpo_core.errors import UsageError
from hpo_core.results.convergence import goal_of
from hpo_core.results.names import Key, Names
from hpo_core.results.trials import Curve, ResultTrial
from hpo_core.trial import Goal

_SEED = re.compile(r"(^|[._-])(seed|repeat|repetition|replicate|fold)$")
"""What an option that stands for repetition is called, as the end of its name."""

Block = tuple[object, ...]


@dataclass(frozen=True)
class Run:
    """One trial in a comparison.

    `curve` is the metric that is compared, up to the epoch asked for; `planned` how many epochs the trial would have
    had if nothing had stopped it.
    """

    level: str
    block: Block
    trial: ResultTrial
    curve: Curve
    goal: Goal
    planned: int

    @property
    def failed(self) -> bool:
        """Whether it has no value to compare."""
        return self.trial.failed or self.reached == 0

    @property
    def reached(self) -> int:
        """The last epoch with a finite value."""
        return max((step for step, value in self.curve.items() if math.isfinite(value)), default=0)

    @property
    def share(self) -> float:
        """The part of its planned epochs that it was given; 0 if it failed."""
        return 0.0 if self.failed else min(1.0, self.reached / self.planned)

    def best(self, epoch: int) -> float:
        """The best value up to an epoch that it reached."""
        values = [v for step, v in self.curve.items() if step <= epoch and math.isfinite(v)]
        return max(values) if self.goal == "maximize" else min(values)

    def final(self, epoch: int) -> float:
        """The value at an epoch that it reached, or the last one before."""
        return next(
            v for step, v in reversed(self.curve.items()) if step <= epoch and math.isfinite(v)
        )

    def merit(self) -> tuple[float, float]:
        """How good it is among runs of its block: the further, and as far as another the better. Greater is better."""
        if self.failed:
            return 0.0, 0.0
        best = self.best(self.reached)
        return self.share, best if self.goal == "maximize" else -best


@dataclass(frozen=True)
class Runs:
    """The runs of a comparison by level and block, one each; and what is to be known of how they were chosen."""

    by_level: dict[str, dict[Block, Run]]
    metric: str
    goal: Goal
    blocks: tuple[str, ...]  # the names of what pairs them; none: every trial stands for itself
    notes: tuple[str, ...]

    def complete(self) -> list[Block]:
        """The blocks in which every level has a run."""
        if not self.blocks or not self.by_level:
            return []
        first, *others = self.by_level.values()
        return sorted((block for block in first if all(block in o for o in others)), key=repr)


def is_repetition(name: str) -> bool:
    """Whether an option is called like one that stands for repetition: `dataset.split_seed`."""
    return _SEED.search(name) is not None


def seed_like(names: Names, trials: Sequence[ResultTrial]) -> list[Key]:
    """The options that stand for repetition: called like one, searched, and not the same in all trials."""
    found = []
    for name in dict.fromkeys(name for trial in trials for name in trial.params):
        if is_repetition(name):
            key = names.option(name)
            if len({key.of(trial) for trial in trials}) > 1:
                found.append(key)
    return found


def common_metric(trials: Sequence[ResultTrial], metric: str | None) -> tuple[str, Goal]:
    """The metric to compare by and which way it is better. Raises UsageError where studies do not agree on it."""
    if metric is not None:
        name = Names(trials).metric(metric)
        return name, goal_of(trials[0], name)
    found = sorted({(trial.metric, trial.goal) for trial in trials})
    if len(found) > 1:
        told = ", ".join(f"{goal} {name}" for name, goal in found)
        raise UsageError(f"the studies have different metrics ({told}): name one with --metric")
    return found[0]


def collect(
    trials: Sequence[ResultTrial],
    level: Key,
    blocks: Sequence[Key],
    metric: str,
    goal: Goal,
    epoch: int | None,
) -> Runs:
    """The runs of finished trials; of several of one level and block the best, which is said in a note."""
    finished = [trial for trial in trials if trial.finished]
    notes = []
    if len(finished) < len(trials):
        notes.append(f"{len(trials) - len(finished)} unfinished trials are left out")
    longest = _longest(finished, metric)
    found: defaultdict[str, defaultdict[Block, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for trial in finished:
        curve = {
            step: value
            for step, value in trial.curves.get(metric, {}).items()
            if epoch is None or step <= epoch
        }
        own: Block = (trial.study, trial.number)
        block = tuple(key.of(trial) for key in blocks) if blocks else own
        name = shown(level.of(trial))
        epochs = trial.options.get("epochs")
        whole = epochs if isinstance(epochs, int) else longest[trial.study]
        planned = max(1, whole if epoch is None else min(whole, epoch))
        found[name][block].append(Run(name, block, trial, curve, goal, planned))
    several = sum(len(runs) > 1 for each in found.values() for runs in each.values())
    if several:
        notes.append(
            f"several trials share their {level.name} and {', '.join(key.name for key in blocks)} ({several} times): "
            "the best of them counts"
        )
    chosen = {
        name: {block: max(runs, key=Run.merit) for block, runs in each.items()}
        for name, each in found.items()
    }
    if not blocks:
        notes.append(
            "no option stands for repetition (--blocks names one): every trial is a run, nothing is paired or tested"
        )
    if several or not blocks:
        notes += _differing(finished, {level.name, *(key.name for key in blocks)})
    return Runs(chosen, metric, goal, tuple(key.name for key in blocks), tuple(notes))


def common_epoch(runs: Iterable[Run]) -> int | None:
    """The largest epoch that all of some runs reached; None where one of them has none."""
    reached = [run.reached for run in runs]
    return min(reached) if reached and min(reached) > 0 else None


def _longest(trials: Iterable[ResultTrial], metric: str) -> dict[str, int]:
    """The most epochs that a trial of each study reported."""
    found: dict[str, int] = {}
    for trial in trials:
        last = max(trial.curves.get(metric, {}), default=0)
        found[trial.study] = max(found.get(trial.study, 0), last)
    return found


def shown(value: object) -> str:
    """An option's value as a level."""
    return "none" if value is None else str(value)


def _differing(trials: Sequence[ResultTrial], known: set[str]) -> list[str]:
    """What else was searched: levels differ in it too, trial by trial."""
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for trial in trials:
        for name, value in trial.params.items():
            values[name][repr(value)] += 1
    others = [name for name, seen in values.items() if len(seen) > 1 and name not in known]
    if not others:
        return []
    return [
        f"trials also differ in {', '.join(sorted(others))}: what is shown is not of the level alone"
    ]
