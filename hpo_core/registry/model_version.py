"""A model version, and how it is read from its row: by this hpo and from databases that an older one has written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, inspect, select

from hpo_core.results.trials import flat
from hpo_core.storage.database import connect, display_all
from hpo_core.storage.tables import hpo_events as events
from hpo_core.storage.tables import hpo_model_versions as table

_JSON = ("metrics", "params", "config", "versions", "files", "provenance", "evaluation")


@dataclass(frozen=True)
class ModelVersion:
    """A registered checkpoint and its lineage; nothing of it ever changes.

    `path` is the file of its weights and `sha256` that file's, `files` are all files of its folder by their names, with
    sha256 and size. `created` is in seconds since the epoch. `provenance` is what `provenance.json` holds, `evaluation`
    what `evaluation.json` does: None where nobody has measured it.
    """

    name: str
    version: int
    sha256: str
    path: str
    study: str
    study_id: int
    trial: int
    metric: str
    value: float
    metrics: dict[str, float]
    params: dict[str, Any]
    config: dict[str, Any]
    git_commit: str | None
    versions: dict[str, str]
    created: float
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] | None = None

    @property
    def label(self) -> str:
        """What people and commands call it: `resnet18-digits@1`."""
        return f"{self.name}@{self.version}"

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return Path(self.path).parent

    @property
    def options(self) -> dict[str, Any]:
        """The objective's options by dotted name, for people: without the passwords of addresses."""
        return dict(flat(display_all(self.config)))

    def to_row(self) -> dict[str, Any]:
        """Its row in the database."""
        values = asdict(self)
        texts = {key: None if values[key] is None else json.dumps(values[key]) for key in _JSON}
        return values | texts


def list_versions(engine: Engine, name: str | None = None) -> list[ModelVersion]:
    """Every version of one model, or of all, by name and number."""
    with connect(engine) as connection:
        return read(connection, name)


def read(connection: Connection, name: str | None = None) -> list[ModelVersion]:
    """As `list_versions`, within a transaction."""
    query = _query(connection).order_by(table.c.name, table.c.version)
    if name is not None:
        query = query.where(table.c.name == name)
    return [_version(row._mapping) for row in connection.execute(query)]


def version_of(engine: Engine, study_id: int, trial: int) -> ModelVersion | None:
    """The first of `versions_of`, or None."""
    return next(iter(versions_of(engine, study_id, trial)), None)


def versions_of(engine: Engine, study_id: int, trial: int) -> list[ModelVersion]:
    """Every version that a trial's checkpoint became: of models that its study registers first, then the newest."""
    its = (table.c.study_id == study_id) & (table.c.trial == trial)
    with connect(engine) as connection:
        found = [
            _version(row._mapping) for row in connection.execute(_query(connection).where(its))
        ]
        own = _own(connection, study_id)
    return sorted(found, key=lambda made: (made.name in own, made.created), reverse=True)


def _own(connection: Connection, study_id: int) -> set[str]:
    """The names of the models that a study has registered at its ends, by `register: {best_as: NAME}`."""
    its = (events.c.study_id == study_id) & (events.c.kind == "model_registered")
    query = select(events.c.data).where(its)
    return {json.loads(data)["name"] for data in connection.execute(query).scalars()}


def _query(connection: Connection) -> Select[Any]:
    """Of the columns that are there: commands that only read do not bring an older database up to date."""
    known = {column["name"] for column in inspect(connection).get_columns(table.name)}
    return select(*(column for column in table.c if column.name in known))


def _version(row: Mapping[Any, Any]) -> ModelVersion:
    values = dict(row)
    values |= {key: json.loads(values[key]) for key in _JSON if values.get(key) is not None}
    if not values.get("files"):  # registered before all files were kept
        values["files"] = {Path(values["path"]).name: {"sha256": values["sha256"], "size": None}}
    return ModelVersion(**values)
