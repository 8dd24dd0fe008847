"""Reads a study's trials from Optuna's tables, a query a table instead of one a trial."""

from __future__ import annotations

import functools
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Table, select

from hpo_core.storage import tables

_WORDS = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}


def load_trials(connection: Connection, study_id: int) -> Iterator[FrozenTrial]:
    """Every trial of a study in the order of their numbers, with the database's trial ids."""
    params = _by_trial(connection, tables.trial_params, study_id)
    values = _by_trial(connection, tables.trial_values, study_id)
    steps = _by_trial(connection, tables.trial_intermediate_values, study_id)
    user = _by_trial(connection, tables.trial_user_attributes, study_id)
    system = _by_trial(connection, tables.trial_system_attributes, study_id)
    query = select(tables.trials).where(tables.trials.c.study_id == study_id)
    for row in connection.execute(query.order_by(tables.trials.c.number)):
        distributions = {
            p.param_name: _distribution(p.distribution_json) for p in params[row.trial_id]
        }
        objectives = sorted(values[row.trial_id], key=lambda value: int(value.objective))
        yield FrozenTrial(
            number=row.number,
            trial_id=row.trial_id,
            state=TrialState[row.state],
            value=None,
            values=[_number(v.value, v.value_type) for v in objectives] or None,
            datetime_start=_to_local(row.datetime_start),
            datetime_complete=_to_local(row.datetime_complete),
            params={
                p.param_name: distributions[p.param_name].to_external_repr(p.param_value)
                for p in params[row.trial_id]
            },
            distributions=distributions,
            user_attrs={a.key: json.loads(a.value_json) for a in user[row.trial_id]},
            system_attrs={a.key: json.loads(a.value_json) for a in system[row.trial_id]},
            intermediate_values={
                s.step: _number(s.intermediate_value, s.intermediate_value_type)
                for s in steps[row.trial_id]
            },
        )


def load_attributes(connection: Connection, study_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The user and the system attributes of a study."""
    found = []
    for table in (tables.study_user_attributes, tables.study_system_attributes):
        rows = connection.execute(select(table).where(table.c.study_id == study_id))
        found.append({row.key: json.loads(row.value_json) for row in rows})
    return found[0], found[1]


def to_utc(time: datetime | None) -> datetime | None:
    """Optuna's memory holds naive local times, its database naive UTC."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def _to_local(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def _by_trial(connection: Connection, table: Table, study_id: int) -> defaultdict[int, list[Any]]:
    """The rows of a table by the trial that they belong to, in the order they were written."""
    of_study = select(tables.trials.c.trial_id).where(tables.trials.c.study_id == study_id)
    query = select(table).where(table.c.trial_id.in_(of_study))
    rows: defaultdict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(query.order_by(next(iter(table.primary_key)))):
        rows[row.trial_id].append(row)
    return rows


@functools.lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _number(value: float | None, kind: str) -> float:
    return _WORDS[kind] if value is None else value
