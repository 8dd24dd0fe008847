"""Opening a database: its schema, and what is said of one that cannot be opened. No message holds a password."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres import Postgres
from sqlalchemy import text

from hpo_core.errors import StorageError
from hpo_core.storage import database, leases, studies, tables


@pytest.fixture
def storage(tmp_path: Path, empty_database: Path) -> str:
    """The address of a SQLite database without studies."""
    shutil.copy(empty_database, tmp_path / "hpo.db")
    return f"sqlite:///{tmp_path}/hpo.db"


@pytest.fixture(params=["sqlite", "postgres"])
def absent(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database in which nothing is yet, of either kind in turn."""
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        return server.create()
    return f"sqlite:///{tmp_path}/absent.db"


def pragma(engine: sqlalchemy.Engine, name: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar_one()


# ---- a database that is fine ----


def test_a_new_database_is_made_with_its_folder(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/a/b/hpo.db"
    engine = database.open_or_create(storage)
    names = set(sqlalchemy.inspect(engine).get_table_names())
    assert names >= set(tables.hpo_metadata.tables) | set(tables.optuna_metadata.tables)
    assert studies.all_studies(engine) == []
    assert optuna.create_study(storage=storage, study_name="optunas").trials == []


def test_sqlite_is_opened_for_many_readers_and_one_writer(storage: str) -> None:
    engine = database.open_or_create(storage)
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "synchronous") == 1  # NORMAL
    assert pragma(engine, "busy_timeout") == database.BUSY_SECONDS * 1000


def test_what_the_migrations_make_is_what_the_tables_declare(absent: str) -> None:
    def ours(_: Any, name: str | None, kind: str, *__: Any) -> bool:
        return kind != "table" or (
            (name or "").startswith("hpo_") and name != database.VERSION_TABLE
        )

    engine = database.open_or_create(absent)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_object": ours}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.hpo_metadata) == []
        connection.execute(text("ALTER TABLE hpo_studies DROP COLUMN extra"))  # it would be seen
        assert compare_metadata(context, tables.hpo_metadata) != []
    engine.dispose()


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004"])
def test_an_older_database_is_brought_up_to_date(
    absent: str, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, revision))
    engine = database.open_or_create(absent)
    columns = "study_id, identity, target, extra, directory"
    identity = '{"metric": {"name": "a", "goal": "minimize"}}'
    with database.connect(engine) as connection:
        assert database._version(connection) == revision
        connection.execute(text("INSERT INTO studies (study_id, study_name) VALUES (7, 'old')"))
        row = f"(7, '{identity}', 3, 1, 'runs/old')"
        connection.execute(text(f"INSERT INTO hpo_studies ({columns}) VALUES {row}"))
    engine.dispose()
    monkeypatch.undo()
    engine = database.open_or_create(absent)
    (old,) = studies.all_studies(engine)
    assert (old.name, old.target, old.extra, old.directory) == ("old", 3, 1, "runs/old")
    studies.set_budget(engine, 7, None, 0)
    found = studies.find(engine, "old")
    assert found is not None and found.target is None
    leases.take(engine, 7, "old").release()
    engine.dispose()


@pytest.mark.parametrize("existing", [False, True])
def test_a_server_or_a_database_that_is_not_there(postgres: Postgres, existing: bool) -> None:
    assert 'database "none" does not exist' in refused(postgres.url("none"), existing=existing)
    said = refused("postgresql+psycopg://hpo@/x?host=/nowhere", existing=existing)
    assert "No such file or directory" in said


def test_a_database_of_postgresql_without_studies(postgres: Postgres) -> None:
    assert "holds no studies of hpo" in refused(postgres.create(), existing=True)


def test_drivers_that_open_a_new_database_at_once(absent: str) -> None:
    """Each finds or makes what the others make at the same time."""
    code = (
        "import sys; from hpo_core.storage import database, studies; "
        "import optuna, alembic.command; print('ready', flush=True); sys.stdin.readline();"
        "print(studies.all_studies(database.open_or_create(sys.argv[1])))"
    )
    command = [sys.executable, "-W", "error", "-c", code, absent]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)
    ]
    for process in started:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in started]
    assert [out for out, _ in said] == ["[]\n"] * 2, said


def test_a_driver_that_is_overtaken_at_every_table_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one may be as slow: there are more tables than a few attempts would do for."""
    storage, overtakings = optuna.storages.RDBStorage, iter(range(30))

    def overtaken(*words: Any, **options: Any) -> optuna.storages.RDBStorage:
        if next(overtakings, None) is not None:
            raise sqlalchemy.exc.OperationalError("", {}, Exception("table x already exists"))
        return storage(*words, **options)

    monkeypatch.setattr(optuna.storages, "RDBStorage", overtaken)
    monkeypatch.setattr(database.time, "sleep", lambda _: None)
    assert studies.all_studies(database.open_or_create(f"sqlite:///{tmp_path}/hpo.db")) == []


def test_many_new_files_that_are_opened_at_once(tmp_path: Path) -> None:
    """SQLite waits for no lock while it switches a file to WAL; one of four drivers was refused in every tenth file."""
    code = (
        "import sys; from hpo_core.storage import database\n"
        "import optuna, alembic.command; print('ready', flush=True)\n"
        "for line in sys.stdin: database.open_or_create(line.strip()); print('open', flush=True)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    pipes = [(process.stdin, process.stdout) for process in started]
    said = [out.readline() for _, out in pipes if out]
    for number in range(20):
        for into, _ in pipes:
            assert into is not None
            into.write(f"sqlite:///{tmp_path}/{number}.db\n")
            into.flush()
        said += [out.readline() for _, out in pipes if out]
    for process in started:
        process.communicate(timeout=60)
    assert said == ["ready\n"] * 4 + ["open\n"] * 80


def test_the_head_that_is_compared_first_is_the_newest_migration() -> None:
    folder = Path(database.__file__).with_name("migrations")
    assert ScriptDirectory(str(folder)).get_current_head() == database.HEAD


def test_a_database_of_optunas_gets_the_side_tables(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    study = optuna.create_study(storage=storage, study_name="theirs")
    study.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(StorageError, match="holds no studies of hpo"):
        database.open_existing(storage)
    engine = database.open_or_create(storage)
    assert studies.taken(engine, "theirs")
    assert studies.find(engine, "theirs") is None
    assert len(optuna.load_study(study_name="theirs", storage=storage).trials) == 1


def test_opening_twice_changes_nothing(storage: str) -> None:
    first = database.open_or_create(storage)
    studies.create(first, "s", "minimize", {"metric": {"name": "a", "goal": "minimize"}}, 3, "runs")
    (found,) = studies.all_studies(database.open_or_create(storage))
    assert (found.name, found.metric, found.goal, found.target) == ("s", "a", "minimize", 3)
    assert studies.find(database.open_existing(storage), "s") == found


def test_a_database_left_half_migrated_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    storage = f"sqlite:///{path}"
    optuna.create_study(storage=storage)  # killed after Optuna's tables, before ours
    assert studies.all_studies(database.open_or_create(storage)) == []


def test_a_kill_in_a_migration_leaves_what_can_be_completed(absent: str) -> None:
    kills = 0
    for statement in range(0, 200, 7):
        child = os.fork()
        if child == 0:
            try:
                _kill_at(statement)
                database.open_or_create(absent)
            finally:
                os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        kills += killed
        if not killed:
            break
    assert kills > 3
    engine = database.open_or_create(absent)
    assert studies.all_studies(engine) == []
    engine.dispose()


def _kill_at(statement: int) -> None:
    left = iter(range(statement, -1, -1))

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
    def _(*_: Any) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_reference_in_an_address_is_resolved(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_TEST_FOLDER", str(tmp_path))
    assert (
        studies.all_studies(database.open_existing("sqlite:///${env:HPO_TEST_FOLDER}/hpo.db")) == []
    )


# ---- a database that is not ----


def refused(storage: str, *, existing: bool = False) -> str:
    """What is said of a storage that cannot be opened."""
    opener = database.open_existing if existing else database.open_or_create
    with pytest.raises(StorageError) as caught:
        opener(storage)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("existing", [False, True])
def test_a_newer_schema_is_refused(storage: str, existing: bool) -> None:
    with database.open_or_create(storage).begin() as connection:
        connection.execute(text(f"UPDATE {database.VERSION_TABLE} SET version_num = '9999'"))
    said = refused(storage, existing=existing)
    assert "newer hpo (schema 9999" in said and "update hpo" in said


def test_a_newer_schema_of_optuna_is_refused(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/hpo.db"
    optuna.create_study(storage=storage)
    with sqlite3.connect(tmp_path / "hpo.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    connection.close()
    assert "optuna" in refused(storage).lower()


def test_a_database_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert f"there is no database at {path}" in refused(f"sqlite:///{path}", existing=True)
    assert not path.exists()


@pytest.mark.parametrize("existing", [False, True])
def test_a_file_that_is_no_database(tmp_path: Path, existing: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is no database, and long enough to be taken for one\n" * 20)
    before = path.read_bytes()
    assert "file is not a database" in refused(f"sqlite:///{path}", existing=existing)
    assert path.read_bytes() == before


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    assert "unable to open database file" in refused(f"sqlite:///{tmp_path}")


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refused(f"sqlite:///{tmp_path}/file/hpo.db")
    assert said == f"cannot create the folder of {tmp_path}/file/hpo.db: Not a directory" or (
        "File exists" in said
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        assert "unable to open" in refused(f"sqlite:///{tmp_path}/hpo.db")
    finally:
        tmp_path.chmod(0o755)


def test_a_database_that_is_read_only_everywhere(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(
            "PRAGMA query_only=ON"
        )  # what a read-only mount does to writes, also for root

    (tmp_path / "hpo.db").unlink()
    monkeypatch.setattr(database, "_set_pragmas", read_only)
    optuna.create_study(storage=storage)
    assert "readonly database" in refused(storage)


@pytest.mark.parametrize(
    "storage",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"],
)
def test_a_database_in_memory_is_refused(storage: str) -> None:
    for existing in (False, True):
        assert "outlives the process" in refused(storage, existing=existing)


@pytest.mark.parametrize(
    "storage", ["runs/hpo.db", "sqlite:/runs", "", "postgresql://host:port/database"]
)
def test_what_is_no_address(storage: str) -> None:
    said = refused(storage)
    assert "is not an address of a database" in said and "sqlite:///runs/hpo.db" in said


PASSWORD = "canary-9f2c"


@pytest.mark.parametrize(
    "storage",
    [
        "nodb://me:{}@host/db",  # no such dialect
        "mysql+nothing://me:{}@host/db",
        "mysql+cymysql://me:{}@host/db",  # a driver that is not installed
        "postgresql://me:{}@host:port/db",  # no number
        "postgresql//me:{}@host/db",  # a typo
        "nodb://host/db?password={}",
        "nodb://host/db?sslmode=require&sslpassword={}",
    ],
)
def test_no_message_holds_the_password(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_TEST_PASSWORD", PASSWORD)
    for written in (PASSWORD, "${env:HPO_TEST_PASSWORD}"):
        said = refused(storage.format(written))
        assert PASSWORD not in said
        assert PASSWORD not in database.display(storage.format(written))
        assert "host" in said


def test_a_databases_error_is_told_without_the_password() -> None:
    url = sqlalchemy.make_url(f"postgresql://me:{PASSWORD}@host/db?password={PASSWORD}")
    error = sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("no\nroute  to host"))
    said = str(database.storage_error(url, error))
    assert PASSWORD not in said
    assert said.endswith("does not answer as it should: no route to host")


def test_a_failed_statement_is_a_storage_error_and_rolled_back(storage: str) -> None:
    engine = database.open_or_create(storage)
    with pytest.raises(StorageError, match="no such table: absent"):
        with database.connect(engine) as connection:
            connection.execute(
                sqlalchemy.insert(tables.studies), {"study_id": 1, "study_name": "s"}
            )
            connection.execute(text("SELECT * FROM absent"))
    assert not studies.taken(engine, "s")


def test_an_error_that_is_not_the_databases_passes(storage: str) -> None:
    with pytest.raises(ZeroDivisionError):
        with database.connect(database.open_or_create(storage)):
            _ = 1 / 0
