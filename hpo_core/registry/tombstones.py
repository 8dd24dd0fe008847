"""What is left of a version that was deleted: its number, which is never given again, its sha256, and why.

A tombstone is the entry `deleted` in the log of its model; nothing ever takes an entry out of there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select

from hpo_core.registry import logbook
from hpo_core.registry.model_version import ModelVersion
from hpo_core.storage.tables import hpo_model_log as table

DELETED = "deleted"
"""The event of the log."""


@dataclass(frozen=True)
class Tombstone:
    """A version that was deleted at `time` (seconds since the epoch), by somebody who said `reason`, or nothing.

    `path` is the file that its weights were, `sha256` that file's; `files` are all of its files, as a version has them.
    """

    name: str
    version: int
    sha256: str
    reason: str
    study: str
    study_id: int
    trial: int
    path: str
    files: Mapping[str, Mapping[str, Any]]
    time: float

    @property
    def label(self) -> str:
        """What it was called: `resnet18-digits@1`."""
        return f"{self.name}@{self.version}"

    @property
    def folder(self) -> Path:
        """Where its files lay."""
        return Path(self.path).parent

    def __str__(self) -> str:
        day = time.strftime("%Y-%m-%d", time.localtime(self.time))
        return f"{self.label} was deleted on {day}{self.reason and f': {self.reason}'}"

    def to_json(self) -> dict[str, Any]:
        """Its fields in JSON types."""
        return asdict(self)


def read(connection: Connection, name: str | None = None) -> list[Tombstone]:
    """The tombstones of one model, or of all, by name and number."""
    # which a tag may say too: what counts is the event
    query = select(table).where(table.c.what.like(f'%"{DELETED}"%'))
    if name is not None:
        query = query.where(table.c.name == name)
    every = (_tombstone(row) for row in connection.execute(query))
    found = [tombstone for tombstone in every if tombstone is not None]
    return sorted(found, key=lambda tombstone: (tombstone.name, tombstone.version))


def put(connection: Connection, version: ModelVersion, reason: str) -> None:
    """Write the tombstone of a version, in the transaction that deletes it."""
    about = {
        "sha256": version.sha256,
        "reason": reason,
        "study": version.study,
        "study_id": version.study_id,
        "trial": version.trial,
        "path": version.path,
        "files": version.files,
    }
    logbook.write(connection, version.name, version.version, event=DELETED, **about)


def _tombstone(row: Row[Any]) -> Tombstone | None:
    what = json.loads(row.what)
    if what.pop("event") != DELETED:
        return None
    return Tombstone(name=row.name, version=row.version, time=row.time, **what)
