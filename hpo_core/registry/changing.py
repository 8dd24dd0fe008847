"""The right to change what is known of a model: its versions, aliases and tags. One process at a time has it.

Whatever is read in such a transaction is still so when it is committed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, text

from hpo_core.faults import point
from hpo_core.storage.database import connect

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
    """As `changing`, for what no file has to be in place for: aliases, tags, deleting."""
    with changing(engine, name) as connection:
        yield connection
        point("model.change")
    point("model.changed")
