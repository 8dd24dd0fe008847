"""The one place that writes a study: everything that happened since the last commit goes in as one transaction.

A commit holds whole steps of the study (an ask with its parameters, a report with its decision, a finish with its
value), so a process killed at any instant leaves the database as it was after some step. Sequence numbers of events
and numbers of trials are dealt here, in memory, which only works because a study has one driver.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, Table, bindparam, func, insert, select, update

from hpo_core import faults
from hpo_core.errors import DiskFullError, OutageError, disk_is_full
from hpo_core.references import conceal
from hpo_core.space import Scalar
from hpo_core.storage import outages, tables
from hpo_core.storage.database import connect, upsert
from hpo_core.storage.loading import load_attributes, load_trials, parse, to_utc, uncollected
from hpo_core.storage.mirror import Changes, MirrorStorage
from hpo_core.storage.numbering import renumber
from hpo_core.trial import ClassReport, Event, Goal, Report

Rows = list[dict[str, Any]]


class Ledger:
    """A study in memory and its way to the database.

    `study` is an `optuna.Study` over the memory: samplers read it and `ask` it. Its trials' ids are the memory's own.
    Without an engine there is nothing but the memory, for simulators. `guard` is called inside the transaction of every
    commit, before anything is written, and refuses it by raising. `on_outage` is told, in a sentence, when a commit
    begins to wait for the database and when it has come through; it may record an event.
    """

    def __init__(
        self,
        engine: Engine | None,
        study_id: int,
        name: str,
        goal: Goal,
        metric: str,
        guard: Callable[[Connection], None] | None = None,
        on_outage: Callable[[str], None] = lambda _: None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._engine = engine
        self._guard = guard
        self._on_outage = on_outage
        self._study_id = study_id
        self.mirror = MirrorStorage()
        self.study = optuna.create_study(storage=self.mirror, study_name=name, direction=goal)
        self._ids: dict[int, int] = {}  # the mirror's trial id -> the database's
        self._events: list[Event] = []
        self._metrics: Rows = []
        self._classes: Rows = []
        self._kept: list[Event] = []  # without a database
        self._puts: dict[str, Any] = {}  # by table: making a statement takes longer than running it
        self._next_seq = 0
        self._gave_up = False  # whether an outage was not waited for to its end
        if engine is not None:
            self._upsert = upsert(engine)
            with uncollected():
                self._load(engine)
        # what Study.set_metric_names would store: the dashboard then names the axis
        self.mirror.set_study_system_attr(self.study._study_id, "study:metric_names", [metric])

    def _load(self, engine: Engine) -> None:
        with connect(engine) as connection:
            renumber(connection, self._study_id)
            for trial in load_trials(connection, self._study_id):
                stored_id = trial._trial_id
                self._ids[self.mirror.adopt(self.study._study_id, trial)] = stored_id
            user, system = load_attributes(connection, self._study_id)
            query = select(func.max(tables.hpo_events.c.seq)).where(
                tables.hpo_events.c.study_id == self._study_id
            )
            last = connection.execute(query).scalar_one()
        for key, value in user.items():
            self.mirror.set_study_user_attr(self.study._study_id, key, value)
        for key, value in system.items():
            self.mirror.set_study_system_attr(self.study._study_id, key, value)
        self.mirror.changes = Changes()
        self._next_seq = 0 if last is None else last + 1

    def trials(self) -> list[FrozenTrial]:
        """All trials in the order of their numbers; not to be changed."""
        return self.study.get_trials(deepcopy=False)

    def record(self, kind: str, trial: int | None = None, **data: Any) -> Event:
        """Add an event; it is stored, and told to observers, by the next commit. Its reason may come from a plugin."""
        if "reason" in data:
            data["reason"] = conceal(data["reason"])
        event = Event(self._next_seq, kind, time.time(), trial, data)
        self._next_seq += 1
        self._events.append(event)
        return event

    def record_metrics(self, trial: int, attempt: int, report: Report) -> None:
        """Add the metrics of a report to the long table, and what it says of each class to another.

        Nothing is decided by what stands there, so it is no part of the events: a driver that continues the study does
        not read it again, and once it is stored nobody holds it in memory.
        """
        self._metrics += [
            {
                "study_id": self._study_id,
                "trial": trial,
                "attempt": attempt,
                "step": report.step,
                "name": name,
                "value": value if math.isfinite(value) else None,
            }
            for name, value in report.metrics.items()
        ]
        if report.classes is not None and self._engine is not None:
            self._classes.append(
                {
                    "study_id": self._study_id,
                    "trial": trial,
                    "attempt": attempt,
                    "step": report.step,
                    "data": json.dumps(report.classes.to_json(), separators=(",", ":")),
                }
            )

    def class_report(self, trial: int, step: int) -> ClassReport | None:
        """What the last attempt at a trial said of each class after an epoch, be it stored yet or not.

        An outage is outlasted as by `commit`. Raises StorageError.
        """
        if self._engine is None:
            return None
        for row in reversed(self._classes):
            if (row["trial"], row["step"]) == (trial, step):
                return ClassReport.from_json(json.loads(row["data"]))
        table = tables.hpo_class_reports
        its = (table.c.trial == trial) & (table.c.step == step)
        query = select(table.c.data).where(table.c.study_id == self._study_id, its)
        found: list[str] = []

        def act(_: bool) -> None:
            assert self._engine is not None
            with connect(self._engine) as connection:
                found[:] = connection.execute(query.order_by(table.c.attempt)).scalars()

        outages.outlast(act, self._on_outage, 0.0 if self._gave_up else None)
        return ClassReport.from_json(json.loads(found[-1])) if found else None

    def add_trial(
        self,
        params: Mapping[str, Scalar],
        distributions: Mapping[str, BaseDistribution],
        system_attrs: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a running trial whose parameters no sampler proposed (a clone); its id in the mirror."""
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            system_attrs=dict(system_attrs or {}),
        )
        return self.mirror.create_new_trial(self.study._study_id, template)

    def withdraw(self, trial_id: int) -> bool:
        """Keep a new trial from ever being stored; False when it is stored already. It stays in memory."""
        changes = self.mirror.changes
        if trial_id not in changes.created:
            return False
        del changes.created[trial_id]
        changes.updated.pop(trial_id, None)
        for keys in (changes.params, changes.steps, changes.user_attrs, changes.system_attrs):
            for key in [key for key in keys if key[0] == trial_id]:
                del keys[key]
        return True

    def commit(self) -> list[Event]:
        """Make everything since the last commit durable; the events that became so.

        An outage of the database is outlasted (see `hpo_core.storage.outages`); `on_outage` is told of it meanwhile.
        Raises StorageError, and whatever `guard` raises; nothing is stored then, and all of it is by the next commit.
        """
        events = list(self._events)  # `on_outage` may record another one
        if not events and self.mirror.changes == Changes():
            return []
        if self._engine is None:
            self._kept += events
        else:
            self._store(self._engine, events)
        self.mirror.changes, self._metrics, self._classes = Changes(), [], []
        del self._events[: len(events)]
        return events

    def _store(self, engine: Engine, events: list[Event]) -> None:
        def act(again: bool) -> None:
            with connect(engine) as connection:
                if self._guard is not None:
                    self._guard(connection)
                if again and self._is_stored(connection, events):
                    return
                self._write(connection, self.mirror.changes)
                _insert(connection, tables.hpo_events, [self._event_row(event) for event in events])
                _insert(connection, tables.hpo_metrics, self._metrics)
                _insert(connection, tables.hpo_class_reports, self._classes)
                faults.point("ledger.write")

        try:
            outages.outlast(act, self._on_outage, 0.0 if self._gave_up else None)
        except (OutageError, KeyboardInterrupt):
            self._gave_up = True  # what is still to be said at the end does not wait as long again
            raise
        except (
            OSError
        ) as error:  # from the point of fault: SQLite and psycopg have errors of their own
            if not disk_is_full(error):
                raise
            raise DiskFullError(f"the disk of the database is full: {error.strerror}") from error
        faults.point("ledger.committed")

    def events(self) -> Iterable[Event]:
        """Every stored event, in order."""
        if self._engine is None:
            yield from self._kept
            return
        table = tables.hpo_events
        columns = (table.c.seq, table.c.kind, table.c.time, table.c.trial, table.c.data)
        query = select(*columns).where(table.c.study_id == self._study_id).order_by(table.c.seq)
        with connect(self._engine) as connection:
            cursor = connection.execute(query).cursor
            assert cursor is not None
            while rows := cursor.fetchmany(
                5000
            ):  # the driver's tuples: SQLAlchemy's rows cost as much again
                with uncollected():
                    parsed = parse([row[4] for row in rows])
                    told = [
                        Event(seq, kind, moment, trial, data)
                        for (seq, kind, moment, trial, _), data in zip(rows, parsed, strict=True)
                    ]
                yield from told

    def _is_stored(self, connection: Connection, events: list[Event]) -> bool:
        """Whether a commit whose connection broke had come through; the ids of its new trials are then looked up."""
        created = {self.mirror.get_trial(key).number: key for key in self.mirror.changes.created}
        trials, table = tables.trials, tables.hpo_events
        query = select(trials.c.number, trials.c.trial_id).where(
            trials.c.study_id == self._study_id, trials.c.number.in_(created)
        )
        found = connection.execute(query).all()
        if events:
            last = self._event_row(events[-1])
            its_key = (table.c.study_id == self._study_id) & (table.c.seq == last["seq"])
            row = connection.execute(select(table).where(its_key)).first()
            stored = row is not None and dict(row._mapping) == last
        else:
            stored = bool(found)
        if stored:
            self._ids |= {created[row.number]: row.trial_id for row in found}
        return stored

    def _write(self, connection: Connection, changes: Changes) -> None:
        self._create_trials(connection, changes)
        ids = self._ids
        get = self.mirror.get_trial
        fresh = changes.created

        params = [_param_row(ids[key[0]], get(key[0]), key[1]) for key in changes.params]
        _insert(connection, tables.trial_params, params)
        steps = [_step_row(ids[key[0]], get(key[0]), key[1]) for key in changes.steps]
        self._put(connection, tables.trial_intermediate_values, ("trial_id", "step"), steps)
        for table, keys, name in (
            (tables.trial_user_attributes, changes.user_attrs, "user_attrs"),
            (tables.trial_system_attributes, changes.system_attrs, "system_attrs"),
        ):
            rows = [
                _attribute_row("trial_id", ids[trial_id], getattr(get(trial_id), name), key)
                for trial_id, key in keys
            ]
            self._put(connection, table, ("trial_id", "key"), rows)
        self._write_study_attributes(connection, changes)
        finished = {**fresh, **changes.updated}
        values = [row for trial_id in finished for row in _value_rows(ids[trial_id], get(trial_id))]
        self._put(connection, tables.trial_values, ("trial_id", "objective"), values)
        states = [
            _state_row(ids[trial_id], get(trial_id))
            for trial_id in changes.updated
            if trial_id not in fresh
        ]
        if states:
            connection.execute(_UPDATE_STATE, states)

    def _create_trials(self, connection: Connection, changes: Changes) -> None:
        for trial_id in changes.created:
            trial = self.mirror.get_trial(trial_id)
            row = {
                "number": trial.number,
                "study_id": self._study_id,
                "state": trial.state.name,
                "datetime_start": to_utc(trial.datetime_start),
                "datetime_complete": to_utc(trial.datetime_complete),
            }
            result = connection.execute(_INSERT_TRIAL, row)
            self._ids[trial_id] = result.inserted_primary_key[0]  # type: ignore[index]
            # an enqueued trial arrives with what the mirror was not told piece by piece
            changes.user_attrs |= {(trial_id, key): None for key in trial.user_attrs}
            changes.system_attrs |= {(trial_id, key): None for key in trial.system_attrs}
            changes.params |= {(trial_id, key): None for key in trial.params}

    def _write_study_attributes(self, connection: Connection, changes: Changes) -> None:
        for table, keys, attributes in (
            (
                tables.study_user_attributes,
                changes.study_user_attrs,
                self.mirror.get_study_user_attrs(self.study._study_id),
            ),
            (
                tables.study_system_attributes,
                changes.study_system_attrs,
                self.mirror.get_study_system_attrs(self.study._study_id),
            ),
        ):
            rows = [_attribute_row("study_id", self._study_id, attributes, key) for key in keys]
            self._put(connection, table, ("study_id", "key"), rows)

    def _event_row(self, event: Event) -> dict[str, Any]:
        return {
            "study_id": self._study_id,
            "seq": event.seq,
            "kind": event.kind,
            "time": event.time,
            "trial": event.trial,
            "data": json.dumps(event.data),
        }

    def _put(self, connection: Connection, table: Table, keys: tuple[str, str], rows: Rows) -> None:
        """Insert rows, or overwrite those that are there under the same keys."""
        if not rows:
            return
        if table.name not in self._puts:
            statement = self._upsert(table)
            others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
            self._puts[table.name] = statement.on_conflict_do_update(
                index_elements=list(keys), set_=others
            )
        connection.execute(self._puts[table.name], rows)


_INSERT_TRIAL = insert(tables.trials)
_INSERTS = {
    table.name: insert(table)
    for table in (
        tables.hpo_events,
        tables.hpo_metrics,
        tables.hpo_class_reports,
        tables.trial_params,
    )
}
_UPDATE_STATE = (
    update(tables.trials)
    .where(tables.trials.c.trial_id == bindparam("id"))
    .values(
        state=bindparam("new_state"),
        datetime_start=bindparam("start"),
        datetime_complete=bindparam("complete"),
    )
)


def _insert(connection: Connection, table: Table, rows: Rows) -> None:
    if rows:
        connection.execute(_INSERTS[table.name], rows)


def _param_row(trial_id: int, trial: FrozenTrial, name: str) -> dict[str, Any]:
    distribution = trial.distributions[name]
    return {
        "trial_id": trial_id,
        "param_name": name,
        "param_value": distribution.to_internal_repr(trial.params[name]),
        "distribution_json": distribution_to_json(distribution),
    }


def _step_row(trial_id: int, trial: FrozenTrial, step: int) -> dict[str, Any]:
    value, kind = _stored(trial.intermediate_values[step])
    return {
        "trial_id": trial_id,
        "step": step,
        "intermediate_value": value,
        "intermediate_value_type": kind,
    }


def _value_rows(trial_id: int, trial: FrozenTrial) -> Rows:
    rows = []
    for objective, value in enumerate(trial.values or ()):
        stored, kind = _stored(value)
        rows.append(
            {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}
        )
    return rows


def _state_row(trial_id: int, trial: FrozenTrial) -> dict[str, Any]:
    return {
        "id": trial_id,
        "new_state": trial.state.name,
        "start": to_utc(trial.datetime_start),
        "complete": to_utc(trial.datetime_complete),
    }


def _attribute_row(
    owner: str, owner_id: int, attributes: Mapping[str, Any], key: str
) -> dict[str, Any]:
    return {owner: owner_id, "key": key, "value_json": json.dumps(attributes[key])}


def _stored(value: float) -> tuple[float | None, str]:
    """A number as Optuna stores it: NaN and infinities by a word beside."""
    if math.isnan(value):
        return None, "NAN"
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return value, "FINITE"
