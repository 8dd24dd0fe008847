"""How a checkpoint becomes a model version: its files are put in place, then its row is written.

A version is immutable: its number, its files and their sha256 are written once, and they are all there until somebody
deletes it (`hpo_core.registry.deletion`). The files are copied beside the studies
as `DIRECTORY/models/NAME/VERSION/`, so that neither cleaning up a study nor starting it afresh touches them.

Numbers have no gaps and none is given twice, whoever registers at the same time: a number is dealt in the transaction
that writes the row, by one process at a time. The folder gets its name in the same transaction, when it is complete, so
a row always names complete files; a process that is killed in between leaves a folder that no row names (see
`hpo_core.registry.files`) and gives its number back.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert

from hpo_core import checkpoints
from hpo_core.errors import DiskFullError, StorageError, StoreError, disk_is_full
from hpo_core.faults import point
from hpo_core.registry import dashboard, files, logbook, provenance
from hpo_core.registry.changing import changing
from hpo_core.registry.files import EVALUATION, PROVENANCE, digest
from hpo_core.registry.model_version import ModelVersion, list_versions, read, version_of
from hpo_core.registry.version_folder import placed
from hpo_core.storage.tables import hpo_model_versions as table
from hpo_core.trial import json_safe

__all__ = [
    "Candidate",
    "ModelVersion",
    "Registration",
    "digest",
    "list_versions",
    "not_registered",
    "register",
    "registered",
    "version_of",
]


@dataclass(frozen=True)
class Candidate:
    """A finished trial whose checkpoint is to become a version.

    `checkpoint` is the file of its weights; what lies beside it and belongs to the model (`checkpoints.OF_A_MODEL`)
    comes along. `provenance` (JSON types) is what is known of how it was made, and `evaluation` how it did on data that
    nothing was chosen by; None: nobody has measured that. `git_commit` is what the code was, where that is not to be
    asked of `code_folder` now.
    """

    study: str
    study_id: int
    trial: int
    metric: str
    value: float
    metrics: Mapping[str, float]
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    checkpoint: Path
    code_folder: Path | None  # whose git commit is recorded
    git_commit: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Registration:
    """The version that a checkpoint is; `new` tells whether it was made just now, or before."""

    version: ModelVersion
    new: bool


def register(engine: Engine, name: str, candidate: Candidate, models: Path) -> ModelVersion:
    """The version of `registered`, whether it is new or not."""
    return registered(engine, name, candidate, models).version


def registered(engine: Engine, name: str, candidate: Candidate, models: Path) -> Registration:
    """Make a checkpoint the next version of the model `name`; the existing one if it already is a version.

    Raises StoreError when the checkpoint cannot be read, or not be copied, and DiskFullError.
    """
    try:
        return _register(engine, name, candidate, models / name)
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


def _register(engine: Engine, name: str, candidate: Candidate, models: Path) -> Registration:
    existing = _same(list_versions(engine, name), candidate, digest(candidate.checkpoint))
    if existing is not None:
        return Registration(existing, new=False)
    with files.filling(models) as part:
        made = _described(name, candidate, part)
        with changing(engine, name) as connection:
            known = read(connection, name)
            existing = _same(known, candidate, made.sha256)
            if existing is not None:  # somebody else was faster
                return Registration(existing, new=False)
            number = _last(connection, name, known) + 1
            point("model.rename")
            version = placed(replace(made, version=number), part, models)
            point("model.insert")
            _insert(connection, version)
    point("model.registered")
    return Registration(version, new=True)


def _last(connection: Connection, name: str, known: list[ModelVersion]) -> int:
    """The highest number that was given, to versions that are deleted now too; an older hpo has logged none."""
    return max([logbook.last_version(connection, name), *(version.version for version in known)])


def _same(known: list[ModelVersion], candidate: Candidate, sha256: str) -> ModelVersion | None:
    wanted = (candidate.study_id, candidate.trial, sha256)
    for version in known:
        if (version.study_id, version.trial, version.sha256) == wanted:
            return version
    return None


def _described(name: str, candidate: Candidate, part: Path) -> ModelVersion:
    """Copy a candidate's files to `part`; the version without its number and place."""
    point("model.write")
    weights = f"model{candidate.checkpoint.suffix}"
    shutil.copyfile(candidate.checkpoint, part / weights)
    for other in checkpoints.OF_A_MODEL:
        beside = candidate.checkpoint.with_name(other)
        if other != checkpoints.MODEL and beside.is_file():
            shutil.copyfile(beside, part / other)
    origin = {"study": candidate.study, "study_id": candidate.study_id, "trial": candidate.trial}
    made_with = json_safe(origin | dict(candidate.provenance))
    files.write_json(part / PROVENANCE, made_with)
    evaluation = None
    if candidate.evaluation is not None:
        evaluation = json_safe(candidate.evaluation)
        files.write_json(part / EVALUATION, evaluation)
    files.sync(part)
    found = files.described(part)
    commit = candidate.git_commit
    if candidate.code_folder is not None:
        commit = provenance.git_commit(candidate.code_folder)
    return ModelVersion(
        name=name,
        version=0,
        sha256=found[weights]["sha256"],
        path=weights,
        study=candidate.study,
        study_id=candidate.study_id,
        trial=candidate.trial,
        metric=candidate.metric,
        value=candidate.value,
        metrics=dict(candidate.metrics),
        params=dict(candidate.params),
        config=dict(candidate.config),
        git_commit=commit,
        versions=provenance.versions(),
        created=time.time(),
        files=found,
        provenance=made_with,
        evaluation=evaluation,
    )


def _insert(connection: Connection, version: ModelVersion) -> None:
    connection.execute(insert(table), version.to_row())
    logbook.write(
        connection, version.name, version.version, event="registered", trial=version.trial
    )
    dashboard.show(connection, version.name)
