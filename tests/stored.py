"""What the tests of running studies read from a database, and the types of the fixtures that they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy

from hpo_core import Event
from hpo_core.registry import versions
from hpo_core.spec import StudySpec
from hpo_core.storage import database, reading, studies, tables

MakeSpec = Callable[..., StudySpec]
RunStudy = Callable[..., list[Event]]
Offer = Callable[[str, str, Any], None]


def stored(spec: StudySpec) -> list[Event]:
    """The events of a study."""
    return reading.events(*_opened(spec))


def rows(spec: StudySpec) -> list[reading.TrialRow]:
    """The trials of a study."""
    return reading.trials(*_opened(spec))


def states(spec: StudySpec) -> list[str]:
    """The states of a study's trials."""
    return [row.state for row in rows(spec)]


def kinds(events: list[Event]) -> list[str]:
    """The kinds of events that are about no trial."""
    return [event.kind for event in events if event.trial is None or event.kind.startswith("model")]


def models(spec: StudySpec) -> list[versions.ModelVersion]:
    """Every model version."""
    return versions.list_versions(database.open_existing(spec.storage))


def everything(spec: StudySpec) -> list[Any]:
    """All that a database holds, leases aside: their tokens grow whenever a study is opened."""
    engine = database.open_existing(spec.storage)
    every = [*tables.optuna_metadata.tables.values(), *tables.hpo_metadata.tables.values()]
    with engine.connect() as connection:
        return [
            list(connection.execute(sqlalchemy.select(table)))
            for table in every
            if table is not tables.hpo_leases
        ]


def _opened(spec: StudySpec) -> tuple[sqlalchemy.Engine, studies.StudyRecord]:
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    return engine, record
