"""Reads a study's trials from Optuna's tables, a query a table instead of one a trial.

A study may have 10,000 trials with 100,000 reports, and opening it must not take seconds: so rows are plain tuples of
the columns that are needed, without the conversions of SQLAlchemy's types, and what repeats is converted once.
"""

from __future__ import annotations

import functools
import gc
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from pydantic_core import from_json
from sqlalchemy import ColumnElement, Connection, String, select, type_coerce

from hpo_core.storage import tables

_WORDS = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}
_STATES = {state.name: state for state in TrialState}

Grouped = defaultdict[int, dict[Any, Any]]
"""By trial id, what its rows say, in the order they were written."""


def load_trials(connection: Connection, study_id: int) -> Iterator[FrozenTrial]:
    """Every trial of a study in the order of their numbers, with the database's trial ids."""
    params, distributions = _params(connection, study_id)
    values = _values(connection, study_id)
    steps = _steps(connection, study_id)
    user = _attributes(connection, tables.trial_user_attributes, study_id)
    system = _attributes(connection, tables.trial_system_attributes, study_id)
    table = tables.trials
    query = (
        select(
            table.c.number,
            table.c.trial_id,
            _text(table.c.state),
            table.c.datetime_start,
            table.c.datetime_complete,
        )
        .where(table.c.study_id == study_id)
        .order_by(table.c.number)
    )
    for number, trial_id, state, start, complete in connection.execute(query):
        yield FrozenTrial(
            number=number,
            trial_id=trial_id,
            state=_STATES[state],
            value=None,
            values=[values[trial_id][key] for key in sorted(values[trial_id])] or None,
            datetime_start=_to_local(start),
            datetime_complete=_to_local(complete),
            params=params[trial_id],
            distributions=distributions[trial_id],
            user_attrs=user[trial_id],
            system_attrs=system[trial_id],
            intermediate_values=steps[trial_id],
        )


def load_attributes(connection: Connection, study_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The user and the system attributes of a study."""
    found = []
    for table in (tables.study_user_attributes, tables.study_system_attributes):
        rows = connection.execute(select(table).where(table.c.study_id == study_id))
        found.append({row.key: json.loads(row.value_json) for row in rows})
    return found[0], found[1]


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's collector of cycles, which looks at all of a study again and again while it is loaded."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def parse(texts: Sequence[str]) -> list[Any]:
    """Many JSON texts at once: a third of the time that Python's parser takes for them one by one."""
    text = f"[{','.join(texts)}]"
    parsed: list[Any]
    try:
        parsed = from_json(text)
    except ValueError:  # half of a surrogate pair, which Python's parser lets pass
        parsed = json.loads(text)
    return parsed


def to_utc(time: datetime | None) -> datetime | None:
    """Optuna's memory holds naive local times, its database naive UTC."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def _to_local(time: datetime | None) -> datetime | None:
    if time is None:
        return None
    return time + _offset(time.replace(minute=time.minute // 15 * 15, second=0, microsecond=0))


@functools.lru_cache(maxsize=4096)
def _offset(quarter: datetime) -> timedelta:
    """How much local time is ahead of UTC in a quarter of an hour; clocks are changed between two of them."""
    return quarter.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) - quarter


def _params(connection: Connection, study_id: int) -> tuple[Grouped, Grouped]:
    params, distributions = _grouped(), _grouped()
    columns = tables.trial_params.c
    wanted = (columns.param_name, columns.param_value, columns.distribution_json)
    for trial_id, name, value, text in _rows(connection, study_id, columns.trial_id, *wanted):
        distribution = distributions[trial_id][name] = _distribution(text)
        params[trial_id][name] = distribution.to_external_repr(value)
    return params, distributions


def _values(connection: Connection, study_id: int) -> Grouped:
    found, columns = _grouped(), tables.trial_values.c
    wanted = (columns.objective, columns.value, _text(columns.value_type))
    for trial_id, objective, value, kind in _rows(connection, study_id, columns.trial_id, *wanted):
        found[trial_id][objective] = _WORDS[kind] if value is None else value
    return found


def _steps(connection: Connection, study_id: int) -> Grouped:
    found, columns = _grouped(), tables.trial_intermediate_values.c
    kind = _text(columns.intermediate_value_type)
    wanted = (columns.step, columns.intermediate_value, kind)
    for trial_id, step, value, word in _rows(connection, study_id, columns.trial_id, *wanted):
        found[trial_id][step] = _WORDS[word] if value is None else value
    return found


def _attributes(connection: Connection, table: Any, study_id: int) -> Grouped:
    found = _grouped()
    wanted = (table.c.key, table.c.value_json)
    rows = _rows(connection, study_id, table.c.trial_id, *wanted)
    for (trial_id, key, _), value in zip(rows, parse([row[2] for row in rows]), strict=True):
        found[trial_id][key] = value
    return found


def _rows(connection: Connection, study_id: int, *columns: ColumnElement[Any]) -> Sequence[Any]:
    """These columns of a table (`trial_id` is the first) for the study's trials, in the order they were written."""
    of_study = select(tables.trials.c.trial_id).where(tables.trials.c.study_id == study_id)
    table = columns[0].table
    query = select(*columns).where(table.c.trial_id.in_(of_study))
    return connection.execute(query.order_by(next(iter(table.primary_key)))).all()


def _text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """An enumeration's column as it is stored."""
    return type_coerce(column, String)


def _grouped() -> Grouped:
    return defaultdict(dict)


@functools.lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
