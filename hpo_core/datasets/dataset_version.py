"""A version of a dataset, and how it is read from its row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from hpo_core.storage.tables import hpo_dataset_versions as table


@dataclass(frozen=True)
class DatasetVersion:
    """The files of a dataset at one time; nothing of it ever changes but that it may be `deleted`.

    `root` stands for all files, `size` is that of all in bytes. `location` is where they lay, `store` where the
    manifest lies (empty: beside the database); references stand unresolved in both. `parent` (`NAME@N`) is what it was
    made from, and `made` how: `text` for people, `recipe` for programs. `created` and `deleted` are in seconds since
    the epoch.
    """

    name: str
    version: int
    root: str
    files: int
    size: int
    location: str
    store: str
    parent: str | None
    made: Mapping[str, Any]
    created: float
    deleted: float | None = None

    @property
    def label(self) -> str:
        """`NAME@N`."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo data versions --json`."""
        return asdict(self)


def add(connection: Connection, version: DatasetVersion) -> None:
    """Write a version's row."""
    values = asdict(version) | {"made": json.dumps(version.made)}
    connection.execute(insert(table), values)


def read(connection: Connection, name: str | None = None) -> list[DatasetVersion]:
    """The versions of one dataset, or of all, by name and number; those that were deleted too."""
    query = select(table).order_by(table.c.name, table.c.version)
    if name is not None:
        query = query.where(table.c.name == name)
    rows = connection.execute(query).mappings()
    return [DatasetVersion(**{**row, "made": json.loads(row["made"])}) for row in rows]
