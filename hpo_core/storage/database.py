"""Opens a database and keeps its schema.

SQLite is opened in WAL mode with `synchronous=NORMAL`: a commit then costs no disk flush, and what was committed
survives the death of any process (after a power cut the last commits may be missing, but the file is consistent). The
busy timeout lets a reader or another study's driver hold the file for a while.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from hpo_core import references
from hpo_core.errors import DiskFullError, OutageError, StorageError
from hpo_core.storage import outages

BUSY_SECONDS = 30
HEAD = "0005"
"""The newest migration in storage/migrations/versions: compared before alembic, which is slow to import, is needed."""

VERSION_TABLE = "hpo_alembic_version"  # `alembic_version` is Optuna's


_PASSWORDS = re.compile(
    r"(?<=//)([^:/@\s]*):([^@\s]*)(?=@)|([?&]\w*(?:password|passwd|pwd))=([^&\s]*)"
)


def display(text: str) -> str:
    """A storage's address, or a text that holds some, for people: without passwords, references to them as they are.

    The text need not be a valid address: what is wrong with one is said with it.
    """
    return _PASSWORDS.sub(_hidden, text)


def _hidden(found: re.Match[str]) -> str:
    """`user:password` or `key=password` with stars for a password that stands there itself."""
    start, password = (found[1], found[2]) if found[3] is None else (found[3], found[4])
    separator = ":" if found[3] is None else "="
    return f"{start}{separator}{'***' if references.blanked(password) else password}"


def display_all(tree: Any) -> Any:
    """A tree of JSON types with `display` of every text in it."""
    if isinstance(tree, str):
        return display(tree)
    if isinstance(tree, Mapping):
        return {key: display_all(item) for key, item in tree.items()}
    return [display_all(item) for item in tree] if isinstance(tree, list) else tree


def sqlite_path(storage: str) -> Path | None:
    """The file of a SQLite storage, or None for other databases."""
    url = _url(storage)
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StorageError(
            f"{storage}: a study needs a database that outlives the process: name a file"
        )
    return Path(url.database)


def open_existing(storage: str) -> Engine:
    """The engine of a database that is there, for reading. Raises StorageError, and never creates one."""
    path = sqlite_path(storage)
    if path is not None and not path.is_file():
        raise StorageError(
            f"there is no database at {path}: run a study first, or name another with --storage"
        )
    engine = _engine(storage)
    with connect(engine) as connection:
        if not sqlalchemy.inspect(connection).has_table("hpo_studies"):
            raise StorageError(f"{display(storage)} holds no studies of hpo")
        _refuse_newer(connection, storage)
    return engine


def current(engine: Engine) -> bool:
    """Whether a database has the tables of this hpo."""
    with connect(engine) as connection:
        return _version(connection) == HEAD


def open_or_create(storage: str) -> Engine:
    """The engine of a database with the current schema, for a driver; what is missing is created."""
    path = sqlite_path(storage)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot create the folder of {path}: {error.strerror}") from error
    engine = _engine(storage)
    with connect(engine) as connection:
        _refuse_newer(connection, storage)
        current = _version(connection) == HEAD
    if not current:
        _create(engine, storage)
    return engine


def _create(engine: Engine, storage: str) -> None:
    """Make or complete the tables, one process at a time; a kill in the middle leaves what the next call completes.

    Optuna's tables come first, so current side tables mean that they are there.
    """
    with connect(engine) as connection:
        if connection.dialect.name == "sqlite":
            _create_optuna_tables(storage)
            # without it SQLite would commit each step of a migration by itself
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            _create_optuna_tables(storage)
        _migrate(connection)


_MIGRATING = 0x68706F  # any number that others do not lock


class connect:  # reads as a verb: with connect(engine) as connection
    """A connection in one transaction, with the database's errors as StorageError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._scope: Any = engine.begin()

    def __enter__(self) -> Connection:
        try:
            connection: Connection = self._scope.__enter__()
        except SQLAlchemyError as error:
            raise storage_error(self._engine.url, error) from error
        return connection

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self._scope.__exit__(kind, error, trace)
        except SQLAlchemyError as failure:
            raise storage_error(self._engine.url, failure) from failure
        if isinstance(error, SQLAlchemyError):
            raise storage_error(self._engine.url, error) from error


def upsert(database: Engine | Connection) -> Callable[..., Any]:
    """The `insert` of a database that can update what is there. PostgreSQL's takes 50 ms to import."""
    if database.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert


def storage_error(url: URL, error: SQLAlchemyError) -> StorageError:
    """What happened to a database, in one line: an OutageError if it may pass, a DiskFullError if it needs room."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = " ".join(str(cause).split())
    where = display(url.render_as_string(hide_password=True))
    if outages.full(error):
        return DiskFullError(f"the disk of the database {where} is full: {text}")
    if outages.passing(error):
        return OutageError(f"the database {where} does not answer as it should: {text}")
    return StorageError(f"the database {where} does not answer as it should: {text}")


def _url(storage: str) -> URL:
    try:
        return make_url(references.resolve(storage))
    except (ArgumentError, ValueError):  # ValueError: the port is no number
        raise StorageError(
            f"'{display(storage)}' is not an address of a database: write sqlite:///runs/hpo.db or "
            f"postgresql+psycopg://user:${{env:PASSWORD}}@host/database"
        ) from None


def _engine(storage: str) -> Engine:
    url = _url(storage)
    try:
        if url.get_backend_name() != "sqlite":
            return sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args=_patience(url))
        engine = sqlalchemy.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    except (NoSuchModuleError, ImportError) as error:
        hint = " (install hpo-core[postgres])" if url.drivername == "postgresql+psycopg" else ""
        raise StorageError(
            f"{display(storage)}: the database's driver is missing: {error}{hint}"
        ) from error
    sqlalchemy.event.listen(engine, "connect", _set_pragmas)
    return engine


def _patience(url: URL) -> dict[str, Any]:
    """How long a server that says nothing at all is waited for, unless the address says it."""
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    return {key: value for key, value in _LIBPQ.items() if key not in url.query}


# A machine that vanishes closes no connection: without these a commit would wait for it for 15 minutes.
_LIBPQ = {
    "connect_timeout": 10,  # seconds
    "tcp_user_timeout": 20_000,  # milliseconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


def _set_pragmas(connection: sqlite3.Connection, _: object) -> None:
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=NORMAL")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL. Where two processes do it to a new file at once, SQLite refuses one without waiting."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.05)


def _create_optuna_tables(storage: str) -> None:
    from optuna.storages import RDBStorage

    options = {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite_path(storage) else None
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            created = RDBStorage(
                _url(storage).render_as_string(hide_password=False), engine_kwargs=options
            )
            break
        except (SQLAlchemyError, RuntimeError) as error:
            text = " ".join(str(error).split())
            if time.monotonic() > until or not _RACING.search(text):
                raise StorageError(f"{display(storage)}: {text}") from error
            time.sleep(0.1)
    created.engine.dispose()


_RACING = re.compile("already exists|UNIQUE constraint failed")
"""What Optuna says when another process makes the tables of the same file at the same time."""


def _version(connection: Connection) -> str | None:
    if not sqlalchemy.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(sqlalchemy.text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return found.scalar_one_or_none()


def _refuse_newer(connection: Connection, storage: str) -> None:
    version = _version(connection)
    if version is not None and version > HEAD:
        raise StorageError(
            f"{display(storage)} was written by a newer hpo (schema {version}, this one knows {HEAD}): "
            "update hpo"
        )


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "hpo_core.storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
