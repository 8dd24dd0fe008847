"""Training that does nothing: a metric that never moves, an LR scheduler that never moves the LR."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from hpo_core.recommending.finding import Edit, Finding
from hpo_core.recommending.studied import Studied
from hpo_core.results.convergence import goal_of
from hpo_core.results.trials import Curve, ResultTrial
from hpo_core.space import Choice, Float, written

FEWEST = 3  # trials
LR, SCHEDULER = "lr", "lr_scheduler"
STILL = ("constant", "none", None)  # LR schedulers that are not meant to move it


def never_moved(study: Studied) -> Iterator[Finding]:
    """Every trial had one and the same value at every epoch: over all trials, or each its own."""
    curves = [_finite(trial.curves.get(study.metric, {})) for trial in study.good]
    long = [curve for curve in curves if len(curve) > 1]
    values = {value for curve in curves for value in curve}
    same = len(curves) >= FEWEST and len(values) == 1
    flat = len(long) >= FEWEST and all(len(set(curve)) == 1 for curve in long)
    if not same and not flat:
        return
    others = _moving(study)
    edits = [
        Edit("metric", {"name": name, "goal": goal_of(study.good[0], name)}) for name in others[:1]
    ]
    if not others:
        edits += _other_lr(study)
    what = (
        "is the same in all trials" if same else "does not change from epoch to epoch in any trial"
    )
    yield Finding(
        "metric-never-moved",
        f"{study.metric} {what}: the search has nothing to go by",
        {
            "trials": len(curves),
            "values": sum(map(len, curves)),
            "different_values": len(values),
            "least": min(values),
            "greatest": max(values),
            "metrics_that_move": others,
        },
        tuple(edits),
    )


def lr_never_moved(study: Studied) -> Iterator[Finding]:
    """An LR scheduler kept one LR in all trials that ran to their end."""
    whole = [trial for trial in study.good if trial.state == "complete"]
    by_name: defaultdict[Any, list[ResultTrial]] = defaultdict(list)
    for trial in whole:
        if len(_finite(trial.curves.get(LR, {}))) > 1:
            by_name[trial.options.get(SCHEDULER)].append(trial)
    still = [
        name for name, trials in by_name.items() if name not in STILL and all(map(_still, trials))
    ]
    for name in still:
        trials = by_name[name]
        yield Finding(
            "lr-never-moved",
            f"the LR scheduler '{name}' never moved the LR: it acted as 'constant'",
            {
                "lr_scheduler": name,
                "trials": len(trials),
                "epochs": max(trial.epochs for trial in trials),
                "lr": _finite(trials[0].curves[LR])[0],
            },
            tuple(_mended(study, str(name), still)),
        )


def _still(trial: ResultTrial) -> bool:
    values = _finite(trial.curves[LR])
    return max(values) - min(values) <= 1e-9 * max(map(abs, values))


def _mended(study: Studied, name: str, still: list[Any]) -> Iterator[Edit]:
    """Less patience, if that is what it waits for; or else the study without it."""
    tree, path = study.objective.get(SCHEDULER), study.paths.get(SCHEDULER)
    choice = study.space.get(SCHEDULER)
    if path is not None and isinstance(choice, Choice):
        index = choice.labels.index(name)
        own, place = choice.alternatives[index], f"{path}.choice.{index}"
    else:
        own, place = tree, f"objective.{SCHEDULER}"
    patience = own.get("patience") if isinstance(own, Mapping) else None
    if isinstance(patience, int | float) and patience > 0:
        less = max(1, patience // 2) if isinstance(patience, int) else patience / 2
        if less < patience:
            yield Edit(f"{place}.patience", less)
    elif path is not None and isinstance(choice, Choice):
        rest = [
            each
            for label, each in zip(choice.labels, choice.alternatives, strict=True)
            if label not in still
        ]
        if rest:
            yield Edit(path, {"choice": rest})


def _moving(study: Studied) -> list[str]:
    """Other metrics that change over epochs or trials, those of validation first."""
    found = []
    for name in dict.fromkeys(name for trial in study.good for name in trial.curves):
        values = {v for trial in study.good for v in _finite(trial.curves.get(name, {}))}
        if name not in (study.metric, LR) and len(values) > 1:
            found.append(name)
    return sorted(found, key=lambda name: (not name.startswith("val"), name))


def _other_lr(study: Studied) -> Iterator[Edit]:
    """LRs that are far from those that were tried."""
    for name in ("optimizer.lr", "lr"):
        given = study.space.get(name)
        if isinstance(given, Float) and given.low > 0:
            wide = Float(given.low / 10, given.high * 10, True)
            yield Edit(study.paths[name], written(wide))
        value: Any = study.objective
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, float) and value > 0:
            yield Edit(f"objective.{name}", written(Float(value / 100, value * 100, True)))


def _finite(curve: Curve) -> list[float]:
    return [value for value in curve.values() if math.isfinite(value)]
