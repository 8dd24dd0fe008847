"""What happens to a study before it is run: found or made, compared with its file, described in its directory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Engine

from hpo_core.errors import UsageError
from hpo_core.registry import provenance
from hpo_core.spec import StudySpec
from hpo_core.storage import database, studies
from hpo_core.storage.studies import StudyRecord


def prepare(
    engine: Engine, spec: StudySpec, directory: Path, *, more: int, fresh: bool
) -> StudyRecord:
    """The study's row: found and checked, or created; `more` finished trials are added to its budget for good.

    With `fresh` a study of this name is set aside first. Raises UsageError when the file no longer describes the study
    that is there.
    """
    record = studies.find(engine, spec.study)
    if record is not None and fresh:
        _set_aside(engine, record, directory)
        record = None
    if record is None:
        if studies.taken(engine, spec.study):
            raise UsageError(
                f"a study '{spec.study}' that hpo did not make is in {database.display(spec.storage)}: "
                "choose another name"
            )
        record = studies.create(
            engine, spec.study, spec.goal, spec.identity(), spec.trials, str(directory)
        )
    else:
        _refuse_changes(spec, record)
    extra = record.extra + more
    target = spec.trials + extra
    studies.set_budget(engine, record.study_id, target, extra)
    found = studies.find(engine, spec.study)
    assert found is not None
    return found


def _refuse_changes(spec: StudySpec, record: StudyRecord) -> None:
    now = json.loads(json.dumps(spec.identity()))
    changes = list(_differences(record.identity, now, ""))
    if changes:
        shown = "; ".join(changes[:5])
        raise UsageError(
            f"study '{spec.study}' was started with other settings ({shown}): its trials would not be "
            "comparable. Give the study another name, undo the change, or start again with --fresh"
        )


def _differences(before: Any, after: Any, path: str) -> Iterable[str]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(before.get(key), after.get(key), inner)
        return
    yield f"{path}: {json.dumps(before)} became {json.dumps(after)}"


def _set_aside(engine: Engine, record: StudyRecord, directory: Path) -> None:
    """Rename a study and its directory to the first free `NAME.1`, `NAME.2`, ..."""
    number = 1
    aside = directory.with_name(f"{directory.name}.{number}")
    while aside.exists() or studies.taken(engine, f"{record.name}.{number}"):
        number += 1
        aside = directory.with_name(f"{directory.name}.{number}")
    studies.rename(engine, record.study_id, f"{record.name}.{number}", str(aside))
    aside.mkdir(parents=True, exist_ok=True)
    for child in directory.iterdir():
        if child.name != "driver.lock":  # held by this process
            child.rename(aside / child.name)


def write_files(directory: Path, spec: StudySpec) -> None:
    """What a reader of the directory wants to know: the file as it was understood, and what ran it."""
    resolved = spec.identity() | {
        "study": spec.study,
        "budget": {"trials": spec.trials},
        "executor": dict(spec.executor),
        "storage": database.display(spec.storage),
        "directory": spec.directory,
        "trackers": [dict(tree) for tree in spec.trackers],
        "register": None if spec.best_as is None else {"best_as": spec.best_as},
    }
    environment = {
        "git_commit": provenance.git_commit(spec.path.resolve().parent),
        "versions": provenance.versions(),
        "command": [database.display(word) for word in sys.argv],
    }
    _write(directory / "study.yaml", yaml.safe_dump(resolved, sort_keys=False))
    _write(directory / "environment.json", json.dumps(environment, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """A file that appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
