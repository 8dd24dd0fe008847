"""Studies as a whole: found by name, created, set aside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from hpo_core.errors import UsageError, nearest
from hpo_core.storage import tables
from hpo_core.storage.database import connect, display
from hpo_core.trial import Goal

FINISHED = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True)
class StudyRecord:
    """A study's row. `identity` is what its file said when it was created (StudySpec.identity).

    `target` is the number of trials that it is to have, None where only epochs or hours limit it.
    """

    study_id: int
    name: str
    identity: Mapping[str, Any]
    target: int | None
    extra: int
    directory: str
    finished: int

    @property
    def metric(self) -> str:
        """The name of the metric that is optimized."""
        return str(self.identity["metric"]["name"])

    @property
    def goal(self) -> Goal:
        """Which way is better."""
        goal: Goal = self.identity["metric"]["goal"]
        return goal


def find(engine: Engine, name: str) -> StudyRecord | None:
    """The study called `name`, or None. A study that Optuna made without us is not found."""
    found = all_studies(engine, name)
    return found[0] if found else None


def called(engine: Engine, name: str) -> StudyRecord:
    """The study called `name`. Raises UsageError with the nearest name."""
    record = find(engine, name)
    if record is not None:
        return record
    known = [record.name for record in all_studies(engine)]
    hint = nearest(name, known)
    guess = f" - did you mean '{hint}'?" if hint else f" (there is: {', '.join(known) or 'none'})"
    where = display(engine.url.render_as_string(hide_password=True))
    raise UsageError(f"there is no study '{name}' in {where}{guess}")


def taken(engine: Engine, name: str) -> bool:
    """Whether any study, Optuna's own included, has this name."""
    with connect(engine) as connection:
        query = select(tables.studies.c.study_id).where(tables.studies.c.study_name == name)
        return connection.execute(query).first() is not None


def all_studies(engine: Engine, name: str | None = None) -> list[StudyRecord]:
    """Every study, by name."""
    ours, theirs = tables.hpo_studies, tables.studies
    query = select(ours, theirs.c.study_name).join(theirs, theirs.c.study_id == ours.c.study_id)
    if name is not None:
        query = query.where(theirs.c.study_name == name)
    with connect(engine) as connection:
        rows = connection.execute(query.order_by(theirs.c.study_name)).all()
        return [
            StudyRecord(
                row.study_id,
                row.study_name,
                json.loads(row.identity),
                row.target,
                row.extra,
                row.directory,
                sum(counts(connection, row.study_id).get(state, 0) for state in FINISHED),
            )
            for row in rows
        ]


def counts(connection: Connection, study_id: int) -> dict[str, int]:
    """How many trials of a study are in each of Optuna's states."""
    trials = tables.trials
    query = select(trials.c.state, func.count()).where(trials.c.study_id == study_id)
    return {state: number for state, number in connection.execute(query.group_by(trials.c.state))}


def create(
    engine: Engine,
    name: str,
    goal: Goal,
    identity: Mapping[str, Any],
    target: int | None,
    directory: str,
) -> StudyRecord:
    """Make a study, in Optuna's tables and in ours, in one transaction."""
    with connect(engine) as connection:
        made = connection.execute(insert(tables.studies), {"study_name": name})
        study_id = _never_used(connection, made.inserted_primary_key[0])  # type: ignore[index]
        _clear(connection, study_id)
        direction = {"study_id": study_id, "objective": 0, "direction": goal.upper()}
        connection.execute(insert(tables.study_directions), direction)
        row = {
            "study_id": study_id,
            "identity": json.dumps(identity),
            "target": target,
            "extra": 0,
            "directory": directory,
        }
        connection.execute(insert(tables.hpo_studies), row)
    return StudyRecord(study_id, name, identity, target, 0, directory, 0)


def _never_used(connection: Connection, study_id: int) -> int:
    """The id of a study that was just made: another one if a model version came from a deleted study with that id."""
    known = tables.hpo_model_versions.c.study_id
    last = connection.execute(select(func.max(known))).scalar_one()
    if last is None or last < study_id:
        return study_id
    its = tables.studies.c.study_id == study_id
    connection.execute(update(tables.studies).where(its).values(study_id=last + 1))
    return int(last) + 1


def _clear(connection: Connection, study_id: int) -> None:
    """Delete what a study of this id has left in the side tables.

    Somebody deleted it in a dashboard, which does not know them, and SQLite gives the last id away again. Model
    versions outlive their study.
    """
    for table in tables.hpo_metadata.tables.values():
        if "study_id" in table.c and table is not tables.hpo_model_versions:
            connection.execute(delete(table).where(table.c.study_id == study_id))


def set_budget(engine: Engine, study_id: int, target: int | None, extra: int) -> None:
    """Store how many trials the study is to have (None: any number), and how many of them `--more` added."""
    table = tables.hpo_studies
    with connect(engine) as connection:
        connection.execute(
            update(table).where(table.c.study_id == study_id).values(target=target, extra=extra)
        )


def set_identity(engine: Engine, study_id: int, identity: Mapping[str, Any]) -> None:
    """Store what the study's file says now: its ranges may have changed."""
    table = tables.hpo_studies
    with connect(engine) as connection:
        connection.execute(
            update(table).where(table.c.study_id == study_id).values(identity=json.dumps(identity))
        )


def rename(engine: Engine, study_id: int, name: str, directory: str) -> None:
    """Give a study another name and directory, so that its old name is free."""
    with connect(engine) as connection:
        connection.execute(
            update(tables.studies)
            .where(tables.studies.c.study_id == study_id)
            .values(study_name=name)
        )
        connection.execute(
            update(tables.hpo_studies)
            .where(tables.hpo_studies.c.study_id == study_id)
            .values(directory=directory)
        )
