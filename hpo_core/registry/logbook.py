"""What happened to each model, in order: entries that are only ever added, in the transaction of what they tell of.

So it cannot be told otherwise than it was; and what a version leaves that was deleted is its entry in here
(`hpo_core.registry.tombstones`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from hpo_core.storage.tables import hpo_model_log as table


@dataclass(frozen=True)
class Happening:
    """Something that happened to a model: `what` has the key `event`; `time` is in seconds since the epoch."""

    version: int
    what: Mapping[str, Any]
    time: float


def write(connection: Connection, name: str, version: int, **what: Any) -> None:
    """Add to what happened to a model."""
    query = select(func.max(table.c.seq)).where(table.c.name == name)
    last = connection.execute(query).scalar_one()
    row = {
        "name": name,
        "seq": 0 if last is None else last + 1,
        "version": version,
        "what": json.dumps(what),
        "time": time.time(),
    }
    connection.execute(insert(table), row)


def read(connection: Connection, name: str) -> list[Happening]:
    """What happened to a model, in order."""
    query = select(table).where(table.c.name == name).order_by(table.c.seq)
    rows = connection.execute(query)
    return [Happening(row.version, json.loads(row.what), row.time) for row in rows]


def last_version(connection: Connection, name: str) -> int:
    """The highest number that a version of the model has had, deleted ones included; 0 where nothing is told of it."""
    query = select(func.max(table.c.version)).where(table.c.name == name)
    return connection.execute(query).scalar_one() or 0
