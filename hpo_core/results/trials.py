"""A trial with everything that can be asked of it: its options, whole, and its metrics, epoch by epoch.

The options of a trial are those of its objective with the searched values filled in, flat: a component stands under its
option's name (`lr_scheduler` is `step`), its own options below (`lr_scheduler.gamma`). The study's identity holds the
objective, so an option that was not searched is found as well as one that was.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from hpo_core.space import Space, join
from hpo_core.storage import reading, tables
from hpo_core.storage.database import connect
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Goal

Curve = dict[int, float]
"""A metric by epoch, ascending; what was not finite is NaN."""


@dataclass(frozen=True)
class ResultTrial:
    """A trial to be asked about. Where an epoch is reported by several attempts, the last one counts.

    `value` is the best of the study's metric and `metrics` are those of the epoch that had it, `best_step`; a failed
    trial has neither. `epochs` is the last one reported.
    """

    study: str
    metric: str
    goal: Goal
    number: int
    state: str
    value: float | None
    best_step: int | None
    epochs: int
    attempt: int
    seconds: float | None
    reason: str
    params: Mapping[str, Any]
    options: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Mapping[str, Curve]

    @property
    def failed(self) -> bool:
        """Whether it ended without a value."""
        return self.state == "fail"

    @property
    def finished(self) -> bool:
        """Whether it ended, well or not."""
        return self.state in ("complete", "pruned", "fail")

    def steps(self) -> list[int]:
        """The epochs that it reported, ascending."""
        return sorted({step for curve in self.curves.values() for step in curve})


def read(
    engine: Engine,
    record: StudyRecord,
    max_epoch: int | None = None,
    number: int | None = None,
) -> list[ResultTrial]:
    """The trials of a study by number, or one of them alone, as they stood after `max_epoch` epochs."""
    curves = _curves(engine, record, max_epoch, number)
    options = _options(record.identity["objective"])
    found = []
    for row in _rows(engine, record, number):
        mine = curves.get(row.number, {})
        own = mine.get(record.metric, {})
        best = None if row.state == "fail" else best_step(own, record.goal)
        foreign = row.value if not mine and max_epoch is None else None  # added through Optuna
        found.append(
            ResultTrial(
                study=record.name,
                metric=record.metric,
                goal=record.goal,
                number=row.number,
                state=row.state,
                value=foreign if best is None else own[best],
                best_step=best,
                epochs=max((step for curve in mine.values() for step in curve), default=0),
                attempt=row.attempt,
                seconds=row.attributes.get("seconds"),
                reason=row.reason,
                params=row.params,
                options=options(row.params),
                metrics={}
                if best is None
                else {name: curve[best] for name, curve in mine.items() if best in curve},
                curves=mine,
            )
        )
    return found


def _rows(engine: Engine, record: StudyRecord, number: int | None) -> list[reading.TrialRow]:
    if number is None:
        return reading.trials(engine, record)
    row = reading.trial(engine, record, number)
    return [] if row is None else [row]


def best_step(curve: Curve, goal: Goal) -> int | None:
    """The epoch with the best value, the first of equals; None where no value is finite."""
    finite = [(step, value) for step, value in curve.items() if math.isfinite(value)]
    if not finite:
        return None
    sign = -1.0 if goal == "maximize" else 1.0
    return min(finite, key=lambda item: (sign * item[1], item[0]))[0]


def _curves(
    engine: Engine, record: StudyRecord, max_epoch: int | None, number: int | None
) -> dict[int, dict[str, Curve]]:
    """By trial and metric. Later attempts come later, and so replace what earlier ones said of an epoch."""
    table = tables.hpo_metrics
    columns = (table.c.trial, table.c.name, table.c.step, table.c.value)
    query = select(*columns).where(table.c.study_id == record.study_id)
    if max_epoch is not None:
        query = query.where(table.c.step <= max_epoch)
    if number is not None:
        query = query.where(table.c.trial == number)
    query = query.order_by(table.c.trial, table.c.attempt, table.c.step)
    found: defaultdict[int, defaultdict[str, Curve]] = defaultdict(lambda: defaultdict(dict))
    with connect(engine) as connection:
        for trial, name, step, value in connection.execute(query):
            found[trial][name][step] = math.nan if value is None else value
    return {
        trial: {name: dict(sorted(curve.items())) for name, curve in curves.items()}
        for trial, curves in found.items()
    }


class _options:
    """The options of a study's trials; a trial that was put in from outside may not have every parameter."""

    def __init__(self, objective: Mapping[str, Any]) -> None:
        self._name = objective.get("name")
        self._space = Space({key: value for key, value in objective.items() if key != "name"})

    def __call__(self, params: Mapping[str, Any]) -> dict[str, Any]:
        try:
            tree = self._space.fill(lambda path, _: params[path])
        except KeyError:
            return {"objective": self._name, **params}
        return {"objective": self._name, **dict(flat(tree))}


def flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a tree by dotted path; the name of a component stands under the component's own path."""
    if isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from flat(item, path if key == "name" and path else join(path, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from flat(item, join(path, index))
    else:
        yield path, tree
