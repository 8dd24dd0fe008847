"""What happens to a study before it is run: found or made, compared with its file, described in its directory."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Engine

from hpo_core.changes import Change, changes
from hpo_core.errors import DiskFullError, StorageError, UsageError, disk_is_full
from hpo_core.faults import point
from hpo_core.spec import StudySpec
from hpo_core.storage import database, leases, studies
from hpo_core.storage.leases import Lease
from hpo_core.storage.studies import StudyRecord


@dataclass(frozen=True)
class Prepared:
    """A study that this process may write: its row, the lease on it, and what the file has changed."""

    record: StudyRecord
    lease: Lease
    changed: tuple[Change, ...]


@contextlib.contextmanager
def prepared(
    engine: Engine,
    spec: StudySpec,
    directory: Path,
    *,
    more: int,
    fresh: bool,
    accept_changes: bool,
) -> Iterator[Prepared]:
    """Find or create a study and hold it for the length of the context.

    `more` finished trials are added to its budget for good. With `fresh` a study of this name is set aside first.
    Raises UsageError when the file no longer describes the study that is there, StudyHeldError when another driver runs
    it.
    """
    if more and spec.budget.trials is None:
        raise UsageError("--more adds trials, and the study's budget does not limit them")
    record = studies.find(engine, spec.study)
    if record is not None and fresh:
        with _leased(engine, record):
            _set_aside(engine, record, directory)
        record = None
    if record is None:
        _clear(engine, spec, directory, fresh)
        record = _create(engine, spec, directory)
    with _leased(engine, record) as lease:
        changed = _accepted(spec, record, accept_changes)
        extra = record.extra + more
        target = None if spec.budget.trials is None else spec.budget.trials + extra
        point("study.prepare")
        studies.set_budget(engine, record.study_id, target, extra)
        if changed:
            studies.set_identity(engine, record.study_id, spec.identity())
        found = studies.find(engine, spec.study)
        assert found is not None
        yield Prepared(found, lease, changed)


@contextlib.contextmanager
def _leased(engine: Engine, record: StudyRecord) -> Iterator[Lease]:
    lease = leases.take(engine, record.study_id, record.name)
    try:
        yield lease
    finally:
        lease.release()


def _create(engine: Engine, spec: StudySpec, directory: Path) -> StudyRecord:
    if studies.taken(engine, spec.study):
        raise UsageError(
            f"a study '{spec.study}' that hpo did not make is in {database.display(spec.storage)}: "
            "choose another name"
        )
    point("study.create")
    return studies.create(
        engine, spec.study, spec.goal, spec.identity(), spec.budget.trials, str(directory)
    )


def _accepted(spec: StudySpec, record: StudyRecord, accept: bool) -> tuple[Change, ...]:
    """What the file has changed, if that may be and was said to be meant. Raises UsageError."""
    now = json.loads(json.dumps(spec.identity()))
    found = tuple(changes(record.identity, now))
    grave = [change for change in found if not change.harmless]
    shown = "\n".join(f"  {change}" for change in grave or found)
    if grave:
        raise UsageError(
            f"study '{spec.study}' was started with other settings:\n{shown}\n"
            "its trials would not be comparable. Give the study another name, undo the change, or start again with "
            "--fresh"
        )
    if found and not accept:
        raise UsageError(
            f"the file of study '{spec.study}' has changed since it was run:\n{shown}\n"
            "its trials keep their meaning: continue with --accept-changes, or undo the change"
        )
    return found


def _set_aside(engine: Engine, record: StudyRecord, directory: Path) -> None:
    """Rename a study and its directory to the first free `NAME.1`, `NAME.2`, ..."""
    number = 1
    aside = directory.with_name(f"{directory.name}.{number}")
    while aside.exists() or studies.taken(engine, f"{record.name}.{number}"):
        number += 1
        aside = directory.with_name(f"{directory.name}.{number}")
    studies.rename(engine, record.study_id, f"{record.name}.{number}", str(aside))
    _move(directory, aside)


def _clear(engine: Engine, spec: StudySpec, directory: Path, fresh: bool) -> None:
    """See to it that a new study finds no other one's trials in its folder: it would delete their checkpoints.

    They are those of a study that was being set aside when the driver was killed, or of one in another database.
    Raises UsageError for the latter, unless the study is to begin `fresh`.
    """
    if not (directory / "trials").exists():
        return
    number = 1
    while record := studies.find(engine, f"{spec.study}.{number}"):
        aside = Path(record.directory)
        if aside == directory.with_name(record.name) and not (aside / "trials").exists():
            return _move(directory, aside)
        number += 1
    if not fresh:
        raise UsageError(
            f"{directory} holds trials of a study '{spec.study}' that is not in "
            f"{database.display(spec.storage)}: name the database that it is in with --storage, give this study "
            "another name, or set the folder aside with --fresh"
        )
    while (aside := directory.with_name(f"{directory.name}.{number}")).exists():
        number += 1
    _move(directory, aside)


def _move(directory: Path, aside: Path) -> None:
    """Move what is in a study's folder to another one."""
    aside.mkdir(parents=True, exist_ok=True)
    for child in directory.iterdir():
        if child.name != "driver.lock":  # held by this process
            child.rename(aside / child.name)


def resolved(spec: StudySpec) -> dict[str, Any]:
    """The study file as it was understood, in JSON types: itself a study file, without passwords."""
    registered = {"best_as": spec.best_as, "evaluation_timeout": spec.evaluation_timeout}
    return spec.identity() | {
        "study": spec.study,
        "budget": asdict(spec.budget),
        "executor": dict(spec.executor),
        "storage": database.display(spec.storage),
        "directory": spec.directory,
        "checkpoints": spec.checkpoints,
        "keep": asdict(spec.keep),
        "profiles": spec.profiles,
        "plugins": {"disable": list(spec.disabled)},
        "data_version": spec.data_version,
        "trackers": [dict(tree) for tree in spec.trackers],
        "register": None if spec.best_as is None else registered,
        "success_criteria": dict(spec.criteria) or None,
    }


def write_files(directory: Path, spec: StudySpec, environment: Mapping[str, Any]) -> None:
    """What a reader of the directory wants to know: the file as it was understood, and what ran it."""
    ran = dict(environment) | {"command": [database.display(word) for word in sys.argv]}
    _write(directory / "study.yaml", yaml.safe_dump(resolved(spec), sort_keys=False))
    _write(directory / "environment.json", json.dumps(ran, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """A file that appears whole or not at all. Raises DiskFullError and StorageError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        point("files.write")
        part.replace(path)
    except OSError as error:
        kind = DiskFullError if disk_is_full(error) else StorageError
        raise kind(f"cannot write {path}: {error.strerror}") from error
