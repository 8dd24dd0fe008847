"""The right to change what is known of a model: its versions, aliases and tags. One process at a time has it.

Whatever is read in such a transaction is still so when it is committed. What has changed is logged in it, so that it
cannot be told otherwise than it was.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, text

from hpo_core.faults import point
from hpo_core.storage.database import connect
from hpo_core.storage.tables import hpo_model_log as table

_MODELS = 0x6D6F6465  # any number that others do not lock


@contextlib.contextmanager
def changing(engine: Engine, name: str) -> Iterator[Connection]:
    """A transaction in which nobody else changes the model `name`. Raises StorageError."""
    with connect(engine) as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            lock = text("SELECT pg_advisory_xact_lock(:what, hashtext(:name))")
            connection.execute(lock, {"what": _MODELS, "name": name})
        yield connection


@contextlib.contextmanager
def marking(engine: Engine, name: str) -> Iterator[Connection]:
    """As `changing`, for what is known beside the versions: aliases and tags."""
    with changing(engine, name) as connection:
        yield connection
        point("model.change")
    point("model.changed")


def log(connection: Connection, name: str, version: int, **what: Any) -> None:
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
