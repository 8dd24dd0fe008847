"""What `hpo status`, `trials`, `show` and `best` read, straight from the tables: no Optuna, no study in memory."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, select

from hpo_core.storage import tables
from hpo_core.storage.database import connect
from hpo_core.storage.studies import StudyRecord, counts
from hpo_core.trial import Event

PAUSED = "paused"


@dataclass(frozen=True)
class TrialRow:
    """A trial as people and scripts see it.

    `state` is Optuna's in lower case, or `paused` for a trial that waits to be run again. `epochs` is the highest step
    that it has reported. `attributes` are the user attributes that are no column of their own.
    """

    number: int
    state: str
    value: float | None
    params: dict[str, Any]
    epochs: int
    attempt: int
    reason: str
    started: datetime | None
    completed: datetime | None
    attributes: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo trials --json`."""
        names = ("number", "state", "value", "params", "epochs", "attempt", "reason")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is."""

    record: StudyRecord
    complete: int
    pruned: int
    failed: int
    running: int
    paused: int
    best_value: float | None
    best_trial: int | None

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo status --json`."""
        states = ("complete", "pruned", "failed", "running", "paused")
        return {
            "study": self.record.name,
            "trials": {state: getattr(self, state) for state in states},
            "target": self.record.target,
            "best_value": self.best_value,
        }


def status(engine: Engine, record: StudyRecord) -> StudyStatus:
    """Counts and best value of a study."""
    with connect(engine) as connection:
        number = counts(connection, record.study_id)
        best = _best(connection, record)
    return StudyStatus(
        record,
        complete=number.get("COMPLETE", 0),
        pruned=number.get("PRUNED", 0),
        failed=number.get("FAIL", 0),
        running=number.get("RUNNING", 0),
        paused=number.get("WAITING", 0),
        best_trial=best[0] if best else None,
        best_value=best[1] if best else None,
    )


def best_trial(engine: Engine, record: StudyRecord) -> TrialRow | None:
    """The finished trial with the best value, failed ones aside; the earliest of equals."""
    with connect(engine) as connection:
        best = _best(connection, record)
        return _trials(connection, record, [best[0]])[0] if best else None


def trials(engine: Engine, record: StudyRecord) -> list[TrialRow]:
    """Every trial of a study, by number."""
    with connect(engine) as connection:
        return _trials(connection, record, None)


def trial(engine: Engine, record: StudyRecord, number: int) -> TrialRow | None:
    """One trial, or None when the study has none of this number."""
    with connect(engine) as connection:
        found = _trials(connection, record, [number])
        return found[0] if found else None


def events(
    engine: Engine, record: StudyRecord, number: int | None = None, kinds: Iterable[str] = ()
) -> list[Event]:
    """The events of a study, or of one of its trials, in order; of some kinds alone, if they are named."""
    table = tables.hpo_events
    query = select(table).where(table.c.study_id == record.study_id).order_by(table.c.seq)
    if number is not None:
        query = query.where(table.c.trial == number)
    if kinds:
        query = query.where(table.c.kind.in_(list(kinds)))
    with connect(engine) as connection:
        return [
            Event(row.seq, row.kind, row.time, row.trial, json.loads(row.data))
            for row in connection.execute(query)
        ]


def _best(connection: Connection, record: StudyRecord) -> tuple[int, float] | None:
    ours, values = tables.trials, tables.trial_values
    order = values.c.value.desc() if record.goal == "maximize" else values.c.value.asc()
    query = (
        select(ours.c.number, values.c.value)
        .join(values, values.c.trial_id == ours.c.trial_id)
        .where(ours.c.study_id == record.study_id)
        .where(ours.c.state.in_(("COMPLETE", "PRUNED")))
        .where(values.c.value_type == "FINITE")
        .order_by(order, ours.c.number)
        .limit(1)
    )
    row = connection.execute(query).first()
    return (row.number, row.value) if row else None


def _trials(
    connection: Connection, record: StudyRecord, numbers: list[int] | None
) -> list[TrialRow]:
    table = tables.trials
    query = select(table).where(table.c.study_id == record.study_id).order_by(table.c.number)
    if numbers is not None:
        query = query.where(table.c.number.in_(numbers))
    rows = connection.execute(query).all()
    ids = None if numbers is None else [row.trial_id for row in rows]
    params = _by_trial(connection, tables.trial_params, record, ids)
    values = _by_trial(connection, tables.trial_values, record, ids)
    attributes = _by_trial(connection, tables.trial_user_attributes, record, ids)
    steps = _last_steps(connection, record)
    found = []
    for row in rows:
        user = {item.key: json.loads(item.value_json) for item in attributes[row.trial_id]}
        state = PAUSED if row.state == "WAITING" else row.state.lower()
        first = next(iter(values[row.trial_id]), None)
        attempt = user.pop("attempt", 0)
        found.append(
            TrialRow(
                number=row.number,
                state=state,
                value=first.value if first else None,
                params={item.param_name: _external(item) for item in params[row.trial_id]},
                epochs=user.pop("steps", steps.get(row.number, 0)),
                attempt=attempt,
                reason=user.pop("reason", ""),
                started=row.datetime_start,
                completed=row.datetime_complete,
                attributes=user,
            )
        )
    return found


def _by_trial(
    connection: Connection, table: Table, record: StudyRecord, ids: Iterable[int] | None
) -> defaultdict[int, list[Any]]:
    of_study = select(tables.trials.c.trial_id).where(tables.trials.c.study_id == record.study_id)
    wanted = table.c.trial_id.in_(of_study if ids is None else list(ids))
    rows: defaultdict[int, list[Any]] = defaultdict(list)
    query = select(table).where(wanted).order_by(next(iter(table.primary_key)))
    for row in connection.execute(query):
        rows[row.trial_id].append(row)
    return rows


def _last_steps(connection: Connection, record: StudyRecord) -> dict[int, int]:
    """The highest step that a trial reported, by its number, for trials that are not finished."""
    metrics, ours = tables.hpo_metrics, tables.trials
    unfinished = (
        select(ours.c.number)
        .where(ours.c.study_id == record.study_id)
        .where(ours.c.state.in_(("RUNNING", "WAITING")))
    )
    query = (
        select(metrics.c.trial, func.max(metrics.c.step))
        .where(metrics.c.study_id == record.study_id)
        .where(metrics.c.trial.in_(unfinished))
        .group_by(metrics.c.trial)
    )
    return {number: step for number, step in connection.execute(query)}


def _external(row: Any) -> Any:
    """A parameter's value, from how Optuna stores it."""
    distribution = json.loads(row.distribution_json)
    attributes = distribution["attributes"]
    if distribution["name"] == "CategoricalDistribution":
        return attributes["choices"][int(row.param_value)]
    if distribution["name"] == "IntDistribution":
        return int(row.param_value)
    return row.param_value if math.isfinite(row.param_value) else None
