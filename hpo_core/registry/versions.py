"""Model versions in the database, and their files.

A version is immutable: its number, its file and its sha256 are written once. The file is copied beside the studies as
`DIRECTORY/models/NAME/VERSION/`, so that neither cleaning up a study nor starting it afresh touches it. The folder gets
its name only when it is complete, and the row is written after it: a process killed in between leaves a folder that no
row names, which the next registration passes over.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, func, insert, select

from hpo_core.errors import DiskFullError, StorageError, StoreError, disk_is_full
from hpo_core.faults import point
from hpo_core.registry import provenance
from hpo_core.storage.database import connect
from hpo_core.storage.tables import hpo_model_versions as table

_JSON = ("metrics", "params", "config", "versions")


@dataclass(frozen=True)
class ModelVersion:
    """A registered checkpoint and its lineage. `path` is the file, `created` seconds since the epoch."""

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

    @property
    def label(self) -> str:
        """What people and commands call it: `resnet18-digits@1`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Candidate:
    """A finished trial whose checkpoint is to become a version."""

    study: str
    study_id: int
    trial: int
    metric: str
    value: float
    metrics: Mapping[str, float]
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    checkpoint: Path
    code_folder: Path  # whose git commit is recorded


def register(engine: Engine, name: str, candidate: Candidate, models: Path) -> ModelVersion:
    """Make a checkpoint the next version of the model `name`; the existing one if it already is a version.

    Raises StoreError when the checkpoint cannot be read, or not be copied, and DiskFullError.
    """
    try:
        return _register(engine, name, candidate, models)
    except OSError as error:
        reason = f"{error.filename or candidate.checkpoint}: {error.strerror}"
        # copying blames the file that it reads, and what is copied may lie on another disk
        raise not_registered(candidate.trial, error, reason, models) from error


def not_registered(trial: int, error: OSError, reason: str, folder: Path) -> StorageError:
    """What is said of a model that could not be registered; `folder` is what was written to."""
    said = f"the checkpoint of trial {trial} cannot be registered"
    again = "run the same command again"
    if disk_is_full(error):
        return DiskFullError(
            f"{said}: no space left on the disk of {folder}; make room and {again}"
        )
    return StoreError(f"{said}: {reason}; {again}")


def _register(engine: Engine, name: str, candidate: Candidate, models: Path) -> ModelVersion:
    sha256 = digest(candidate.checkpoint)
    for existing in list_versions(engine, name):
        same = (existing.study_id, existing.trial, existing.sha256)
        if same == (candidate.study_id, candidate.trial, sha256):
            return existing
    folder, number = _place(engine, name, candidate, models / name, sha256)
    version = ModelVersion(
        name=name,
        version=number,
        sha256=sha256,
        path=str(folder / _file_name(candidate)),
        study=candidate.study,
        study_id=candidate.study_id,
        trial=candidate.trial,
        metric=candidate.metric,
        value=candidate.value,
        metrics=dict(candidate.metrics),
        params=dict(candidate.params),
        config=dict(candidate.config),
        git_commit=provenance.git_commit(candidate.code_folder),
        versions=provenance.versions(),
        created=time.time(),
    )
    row = asdict(version) | {key: json.dumps(getattr(version, key)) for key in _JSON}
    point("model.insert")
    with connect(engine) as connection:
        connection.execute(insert(table), row)
    return version


def list_versions(engine: Engine, name: str | None = None) -> list[ModelVersion]:
    """Every version of one model, or of all, by name and number."""
    query = select(table).order_by(table.c.name, table.c.version)
    if name is not None:
        query = query.where(table.c.name == name)
    with connect(engine) as connection:
        return [_version(row) for row in connection.execute(query)]


def version_of(engine: Engine, study_id: int, trial: int) -> ModelVersion | None:
    """The newest version that a trial's checkpoint became, or None."""
    found = [
        version
        for version in list_versions(engine)
        if (version.study_id, version.trial) == (study_id, trial)
    ]
    return max(found, key=lambda version: version.created, default=None)


def digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _place(
    engine: Engine, name: str, candidate: Candidate, models: Path, sha256: str
) -> tuple[Path, int]:
    """Copy the checkpoint into the folder of the next free number; the folder and the number."""
    part = models / f".part-{candidate.study}-{candidate.trial}"
    shutil.rmtree(part, ignore_errors=True)  # a kill may have left it, and a study has one driver
    part.mkdir(parents=True)
    try:
        copy = part / _file_name(candidate)
        point("model.write")
        shutil.copyfile(candidate.checkpoint, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        number = _next_number(engine, name)
        point("model.rename")
        while not _take(models / str(number), part, copy.name, sha256):
            number += 1
        return models / str(number), number
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _take(folder: Path, part: Path, name: str, sha256: str) -> bool:
    """Give `part` its final name; False when another model is there. No row names the folder yet.

    If the very same file is there, then a kill came between this and the row.
    """
    try:
        part.rename(folder)
        return True
    except OSError:
        if not folder.exists():
            raise
        return (folder / name).is_file() and digest(folder / name) == sha256


def _next_number(engine: Engine, name: str) -> int:
    query = select(func.max(table.c.version)).where(table.c.name == name)
    with connect(engine) as connection:
        last = connection.execute(query).scalar_one()
    return 1 if last is None else last + 1


def _file_name(candidate: Candidate) -> str:
    return f"model{candidate.checkpoint.suffix}"


def _version(row: Row[Any]) -> ModelVersion:
    values = dict(row._mapping)
    return ModelVersion(**values | {key: json.loads(values[key]) for key in _JSON})
