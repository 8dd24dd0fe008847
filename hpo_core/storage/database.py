"""Opens a database and keeps its schema.

SQLite is opened in WAL mode with `synchronous=NORMAL`: a commit then costs no disk flush, and what was committed
survives the death of any process (after a power cut the last commits may be missing, but the file is consistent). The
busy timeout lets a reader or another study's driver hold the file for a while.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from hpo_core.errors import StorageError
from hpo_core.references import resolve

BUSY_SECONDS = 30
HEAD = "0001"
"""The newest migration in storage/migrations/versions: compared before alembic, which is slow to import, is needed."""

VERSION_TABLE = "hpo_alembic_version"  # `alembic_version` is Optuna's


_PASSWORDS = re.compile(r"(?<=//)([^:/@\s]*):[^@\s]*(?=@)|([?&]\w*(?:password|passwd|pwd))=[^&\s]*")


def display(text: str) -> str:
    """A storage's address, or a text that holds some, for people: without passwords.

    The text need not be a valid address: what is wrong with one is said with it.
    """
    return _PASSWORDS.sub(
        lambda found: f"{found[1]}:***" if found[2] is None else f"{found[2]}=***", text
    )


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
    if not current:  # Optuna's tables come first, so current side tables mean that they are there
        _create_optuna_tables(storage)
        with connect(engine) as connection:
            _migrate(connection)
    return engine


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


def storage_error(url: URL, error: SQLAlchemyError) -> StorageError:
    """What happened to a database, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = " ".join(str(cause).split())
    where = display(url.render_as_string(hide_password=True))
    return StorageError(f"the database {where} does not answer as it should: {text}")


def _url(storage: str) -> URL:
    try:
        return make_url(resolve(storage))
    except (ArgumentError, ValueError):  # ValueError: the port is no number
        raise StorageError(
            f"'{display(storage)}' is not an address of a database: write sqlite:///runs/hpo.db or "
            f"postgresql+psycopg://user:${{env:PASSWORD}}@host/database"
        ) from None


def _engine(storage: str) -> Engine:
    url = _url(storage)
    try:
        if url.get_backend_name() != "sqlite":
            return sqlalchemy.create_engine(url, pool_pre_ping=True)
        engine = sqlalchemy.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    except (NoSuchModuleError, ImportError) as error:
        raise StorageError(
            f"{display(storage)}: the database's driver is missing: {error}"
        ) from error
    sqlalchemy.event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _create_optuna_tables(storage: str) -> None:
    from optuna.storages import RDBStorage

    try:
        created = RDBStorage(
            _url(storage).render_as_string(hide_password=False),
            engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}}
            if sqlite_path(storage)
            else None,
        )
    except (SQLAlchemyError, RuntimeError) as error:
        raise StorageError(f"{display(storage)}: {' '.join(str(error).split())}") from error
    created.engine.dispose()


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
