"""Whether a storage can be reached and its file is whole, found out without changing or creating anything."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from hpo_core.cli.wording import clean, size
from hpo_core.references import conceal

TIMEOUT_SECONDS = 5

Found = tuple[str, str, Literal["ok", "note", "broken"]]


def storage_findings(storage: str) -> Iterator[Found]:
    """(name, value, status) of each thing known about a storage; the last one is broken where it does not answer."""
    from hpo_core.errors import HpoError
    from hpo_core.storage.database import display, sqlite_path

    yield "address", clean(display(storage)), "ok"
    try:
        path = sqlite_path(storage)
    except HpoError as error:  # the address itself is wrong
        yield "database", clean(error), "broken"
        return
    for name, value, status in _server(storage) if path is None else _file(path):
        yield name, conceal(value)[:300], status


def _file(path: Path) -> Iterator[Found]:
    """A SQLite file, in SQLite's read-only mode."""
    if not path.is_file():
        yield "database", "not there yet: `hpo run` creates it", "note"
        return
    url = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(url, uri=True, timeout=TIMEOUT_SECONDS)) as connection:
            began = time.perf_counter()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            yield "database", f"{size(path.stat().st_size)}, {tables} tables and indices", "ok"
            yield "answers in", f"{(time.perf_counter() - began) * 1000:.1f} ms", "ok"
            yield "journal mode", mode, "ok" if mode == "wal" else "note"
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            yield "integrity", clean(verdict), "ok" if verdict == "ok" else "broken"
    except sqlite3.Error as error:
        yield "database", clean(error), "broken"


def _server(storage: str) -> Iterator[Found]:
    """A database server. Drivers differ in how they call their time limit, so it is the server's and the network's."""
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    from hpo_core.errors import HpoError
    from hpo_core.references import resolve

    try:
        engine = sqlalchemy.create_engine(resolve(storage))
        began = time.perf_counter()
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            version = engine.dialect.server_version_info or ()
        yield "database", f"{engine.name} {'.'.join(map(str, version))}", "ok"
        yield "answers in", f"{(time.perf_counter() - began) * 1000:.1f} ms", "ok"
        engine.dispose()
    except (SQLAlchemyError, ImportError, HpoError) as error:
        yield "database", clean(error), "broken"
