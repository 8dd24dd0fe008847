"""What became of trials: most failed, they are repetitions of one another, one class is what they predict."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from hpo_core.recommending.finding import Edit, Finding
from hpo_core.recommending.studied import Studied
from hpo_core.results import classes
from hpo_core.space import Choice, Float, Int, is_distribution, parse, written

HALF = 0.5
FEWEST = 3
LARGEST = 0.4
"""The share of the predictions that one class may get, unless so many images are of it."""
BEYOND = 1.5  # times its images
QUARTER = 0.25

_NUMBERS = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")
_DIVERGED = re.compile(r"\b(nan|-?inf)\b")


def failures(study: Studied) -> Iterator[Finding]:
    """Half of the trials or more failed."""
    failed = [trial for trial in study.finished if trial.failed]
    if len(failed) < FEWEST or len(failed) < HALF * len(study.finished):
        return
    reasons = Counter(_NUMBERS.sub("N", trial.reason) for trial in failed)
    commonest, times = reasons.most_common(1)[0]
    example = next(t for t in failed if _NUMBERS.sub("N", t.reason) == commonest)
    edits = [*_without_failing(study), *_lower_lr(study, commonest)]
    yield Finding(
        "failures",
        f"{len(failed)} of {len(study.finished)} trials failed, {times} of them with: {example.reason or 'no reason'}",
        {
            "failed": len(failed),
            "finished": len(study.finished),
            "reason": example.reason,
            "times": times,
            "reasons": len(reasons),
            "trial": example.number,
        },
        tuple(edits[:1]),
        "" if edits else "its log says more: hpo show STUDY N",
    )


def duplicates(study: Studied) -> Iterator[Finding]:
    """A quarter of the trials or more had the parameters of an earlier one."""
    seen = Counter(repr(sorted(trial.params.items())) for trial in study.good)
    again = sum(seen.values()) - len(seen)
    if not study.space or again < FEWEST or again < QUARTER * len(study.good):
        return
    size = configurations(study.objective)
    edit = Edit("sampler", {"name": "grid"})
    if size <= len(study.good):
        edit = Edit("budget.trials", int(size))
    yield Finding(
        "duplicates",
        f"{again} of {len(study.good)} trials repeat the parameters of an earlier one: they tell of noise and of "
        "nothing new",
        {
            "trials": len(study.good),
            "different": len(seen),
            "repeated": again,
            "most_often": max(seen.values()),
            "configurations": None if math.isinf(size) else int(size),
        },
        (edit,) if edit.path == "budget.trials" or not math.isinf(size) else (),
    )


def one_class(study: Studied) -> Iterator[Finding]:
    """The best trial gives one class to far more images than are of it."""
    if study.classes is None:
        return
    found = classes.summary(study.classes)
    row = max(found.classes, key=lambda each: each.predicted, default=None)
    if row is None or found.images < 20:
        return
    share, real = row.predicted / found.images, row.support / found.images
    if share <= LARGEST or share < BEYOND * real:
        return
    edits = []
    loss = study.objective.get("loss")
    if isinstance(loss, Mapping) and loss.get("class_weight_power") == 0:
        edits.append(Edit("objective.loss.class_weight_power", 1.0))
    yield Finding(
        "one-class",
        f"{share:.0%} of the images are taken for '{row.name}', which {real:.0%} of them are",
        {
            "class": row.name,
            "predicted": row.predicted,
            "of_it": row.support,
            "images": found.images,
            "share": share,
            "classes": len(found.classes),
            "trial": study.good[0].number,
        },
        tuple(edits),
    )


def configurations(tree: Any) -> float:
    """How many different configurations a tree of options has."""
    if is_distribution(tree):
        given = parse(tree)
        if isinstance(given, Choice):
            return sum(map(configurations, given.alternatives))
        if isinstance(given, Int):
            return (given.high - given.low) // given.step + 1
        if given.step is None:
            return math.inf if given.high > given.low else 1
        return round((given.high - given.low) / given.step) + 1
    if isinstance(tree, Mapping):
        return math.prod(map(configurations, tree.values()))
    return math.prod(map(configurations, tree)) if isinstance(tree, list) else 1


def _without_failing(study: Studied) -> Iterator[Edit]:
    """A choice without the alternatives of which every trial failed, if these are most failures."""
    failed = sum(trial.failed for trial in study.finished)
    for name, given in study.space.items():
        if not isinstance(given, Choice):
            continue
        tried = Counter(t.params[name] for t in study.finished if name in t.params)
        lost = Counter(t.params[name] for t in study.finished if name in t.params and t.failed)
        bad = [label for label, n in tried.items() if n >= FEWEST and lost[label] == n]
        rest = [
            each
            for label, each in zip(given.labels, given.alternatives, strict=True)
            if label not in bad
        ]
        if bad and rest and sum(lost[label] for label in bad) > HALF * failed:
            yield Edit(study.paths[name], {"choice": rest})


def _lower_lr(study: Studied, reason: str) -> Iterator[Edit]:
    """For trials that diverged: no greater LRs than those that did not."""
    if not _DIVERGED.search(reason):
        return
    for name, given in study.space.items():
        if name.split(".")[-1] != "lr" or not isinstance(given, Float):
            continue
        fine = [trial.params[name] for trial in study.good if name in trial.params]
        low = given.low if not fine else min(given.low, min(fine))
        high = float(f"{max(fine):.2g}") if fine else given.low
        if fine and high < given.high and high > low:
            yield Edit(study.paths[name], written(Float(low, high, given.log, None)))
        elif not fine and given.low > 0:
            lower = Float(float(f"{given.low / 100:.2g}"), given.low, True)
            yield Edit(study.paths[name], written(lower))
