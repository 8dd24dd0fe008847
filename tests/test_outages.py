"""The database goes away in the middle of a study and comes back: nothing is lost, nothing is doubled."""

from __future__ import annotations

import math
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg.errors
import pytest
import sqlalchemy
from optuna.trial import TrialState
from postgres import Postgres
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError, TimeoutError

from hpo_core import Report, faults, runner
from hpo_core.catalog import Catalog
from hpo_core.errors import DiskFullError, OutageError, StorageError
from hpo_core.spec import StudySpec
from hpo_core.storage import database, outages, reading, studies, tables
from hpo_core.storage.ledger import Ledger

METRIC = {"metric": {"name": "accuracy", "goal": "maximize"}}


@pytest.fixture
def engine(storage: str) -> Iterator[Engine]:
    engine = database.open_or_create(storage)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "OUTAGE_SECONDS", 60.0)
    monkeypatch.setattr(outages, "FIRST_WAIT", 0.02)


def open_ledger(engine: Engine, **given: Any) -> Ledger:
    record = studies.find(engine, "s") or studies.create(engine, "s", "maximize", METRIC, 9, "runs")
    return Ledger(engine, record.study_id, "s", "maximize", "accuracy", **given)


def run_trial(ledger: Ledger, commit: Callable[[], object]) -> None:
    """A trial of three reports with a commit after each step."""
    trial = ledger.study.ask()
    trial.suggest_float("x", 0, 1)
    ledger.record("trial_started", trial.number)
    commit()
    for step in (1, 2, 3):
        trial.report(step / 10, step)
        ledger.record("report", trial.number, step=step)
        ledger.record_metrics(trial.number, 1, Report(step, {"accuracy": step / 10, "n": math.nan}))
        commit()
    ledger.mirror.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.3])
    ledger.record("trial_finished", trial.number)
    commit()


def assert_whole(engine: Engine, ledger: Ledger, trials: int) -> None:
    """The database holds what the memory does, each thing once."""
    record = studies.find(engine, "s")
    assert record is not None and record.finished == trials
    told = reading.events(engine, record)
    assert [event.seq for event in told] == list(range(5 * trials))
    again = open_ledger(engine)
    mine, theirs = ledger.trials(), again.trials()
    assert [t.number for t in theirs] == list(range(trials))
    assert [t.params for t in mine] == [t.params for t in theirs]
    assert [t.intermediate_values for t in mine] == [t.intermediate_values for t in theirs]
    assert [t.values for t in mine] == [t.values for t in theirs] == [[0.3]] * trials
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.select(tables.hpo_metrics)).all()
    assert len(rows) == 6 * trials


# ---- restarts ----


def test_a_commit_outlasts_a_restart_of_three_seconds(postgres: Postgres) -> None:
    engine = database.open_or_create(postgres.fresh())
    said: list[str] = []
    missed = threading.Event()

    def tell(sentence: str) -> None:
        said.append(sentence)
        missed.set()

    def come_back() -> None:
        missed.wait(60)
        time.sleep(3.0)
        postgres.start()

    ledger = open_ledger(engine, on_outage=tell)
    run_trial(ledger, ledger.commit)
    postgres.stop()
    thread = threading.Thread(target=come_back)
    thread.start()
    run_trial(ledger, ledger.commit)
    thread.join()
    assert_whole(engine, ledger, 2)
    assert len(said) == 2
    assert "does not answer as it should" in said[0] and said[0].endswith("trying again for 60 s")
    assert said[1].startswith("the database answers again after ")
    engine.dispose()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_commits_among_restarts_are_whole(postgres: Postgres, how: signal.Signals) -> None:
    engine = database.open_or_create(postgres.fresh())
    ledger = open_ledger(engine)
    over, came_through = threading.Event(), threading.Event()
    restarts = 0

    def commit() -> None:
        ledger.commit()
        came_through.set()

    def restart() -> None:
        nonlocal restarts
        while not over.is_set():
            postgres.restart(0.05, how)
            restarts += 1
            came_through.clear()
            while not (over.is_set() or came_through.wait(0.1)):
                pass  # on a slow machine the server would be down most of the time
            over.wait(0.001 * (restarts % 10))

    thread = threading.Thread(target=restart)
    thread.start()
    trials = 0
    try:
        while trials < 40 or (restarts < 4 and thread.is_alive()):
            run_trial(ledger, commit)
            trials += 1
    finally:
        over.set()
        thread.join()
    assert restarts > 3
    assert_whole(engine, ledger, trials)
    engine.dispose()


# ---- a commit that came through although it seemed not to ----


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_breaks_at_any_commit(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The connection breaks before the server commits, or before it says that it has."""
    ledger = open_ledger(engine)
    broken: list[str] = []
    real = engine.dialect.do_commit

    def breaking(connection: Any) -> None:
        if len(broken) % 2 == 0:
            broken.append(when)
            if when == "after":
                real(connection)
            raise OperationalError("COMMIT", {}, Exception("the connection broke"))
        broken.append("")
        real(connection)

    monkeypatch.setattr(engine.dialect, "do_commit", breaking)
    run_trial(ledger, ledger.commit)
    ledger.study.enqueue_trial({"x": 0.5})  # a commit without an event
    ledger.commit()
    run_trial(ledger, ledger.commit)
    monkeypatch.undo()
    assert_whole(engine, ledger, 2)
    assert [trial.params["x"] for trial in ledger.trials()][1] == 0.5
    assert len(broken) > 20


def test_an_event_recorded_during_an_outage_is_of_the_next_commit(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(engine, on_outage=lambda said: ledger.record("warning", text=said))
    first = ledger.record("one")
    real, failures = engine.dialect.do_commit, iter([True])

    def breaking(connection: Any) -> None:
        real(connection)
        if next(failures, False):
            raise OperationalError("COMMIT", {}, Exception("the connection broke"))

    monkeypatch.setattr(engine.dialect, "do_commit", breaking)
    assert ledger.commit() == [first]
    assert [event.kind for event in ledger.commit()] == ["warning", "warning"]
    assert [event.seq for event in open_ledger(engine).events()] == [0, 1, 2]


# ---- what is waited for, and what is not ----


def test_a_locked_file_is_waited_for(
    engine: Engine, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.dialect.name != "sqlite":
        return
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(storage.removeprefix("sqlite:///"))
    said: list[str] = []

    def tell(sentence: str) -> None:
        said.append(sentence)
        other.rollback()

    ledger = open_ledger(database.open_or_create(storage), on_outage=tell)
    other.execute("BEGIN IMMEDIATE")
    run_trial(ledger, ledger.commit)
    other.close()
    assert len(said) == 2 and "locked" in said[0]
    assert_whole(engine, ledger, 1)


def test_patience_ends(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "OUTAGE_SECONDS", 0.3)
    engine = database.open_or_create(postgres.fresh())
    ledger = open_ledger(engine)
    ledger.record("one")
    postgres.stop()
    try:
        with pytest.raises(OutageError) as caught:
            ledger.commit()
    finally:
        postgres.start()
    assert caught.value.exit_code == 5
    monkeypatch.setattr(outages, "OUTAGE_SECONDS", 60.0)  # a slow machine may need some tries now
    assert [event.kind for event in ledger.commit()] == ["one"]  # nothing was forgotten
    engine.dispose()


def test_a_full_disk_is_not_waited_for(tmp_path: Path, empty_database: Path) -> None:
    path = tmp_path / "full.db"
    path.write_bytes(empty_database.read_bytes())
    engine = database.open_or_create(f"sqlite:///{path}")
    ledger = open_ledger(engine)

    def limit(connection: Connection) -> None:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    ledger._guard = limit
    ledger.record("long", text="x" * 1_000_000)
    with pytest.raises(
        DiskFullError, match=r"the disk of the database sqlite:///.*full.db is full"
    ):
        ledger.commit()
    ledger._guard = None
    engine.dispose()
    assert len(ledger.commit()) == 1


def test_a_full_disk_that_the_faults_play(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(engine)
    ledger.record("one")
    monkeypatch.setattr(faults, "_hits", faults.Counter())
    monkeypatch.setenv("HPO_FAULT", "ledger.write:1:full")
    with pytest.raises(DiskFullError, match="No space left on device"):
        ledger.commit()
    assert len(ledger.commit()) == 1


def test_an_error_that_stays_is_said_at_once(engine: Engine) -> None:
    first, second = open_ledger(engine), open_ledger(engine)
    first.record("one")
    first.commit()
    second.record("another")  # two drivers, which the lease prevents
    with pytest.raises(StorageError) as caught:
        second.commit()
    assert not isinstance(caught.value, OutageError)


def of_sqlite(code: int) -> OperationalError:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    return OperationalError("SELECT 1", {}, error)


@pytest.mark.parametrize(
    ("error", "passing", "full"),
    [
        (of_sqlite(sqlite3.SQLITE_BUSY), True, False),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), True, False),
        (of_sqlite(sqlite3.SQLITE_FULL), False, True),
        (of_sqlite(sqlite3.SQLITE_READONLY), False, False),
        (OperationalError("", {}, psycopg.OperationalError("connection refused")), True, False),
        (InterfaceError("", {}, psycopg.InterfaceError("the connection is closed")), True, False),
        (OperationalError("", {}, psycopg.errors.AdminShutdown("bye")), True, False),
        (OperationalError("", {}, psycopg.errors.DeadlockDetected("x")), True, False),
        (OperationalError("", {}, psycopg.errors.TooManyConnections("x")), True, False),
        (OperationalError("", {}, psycopg.errors.DiskFull("x")), False, True),
        (DatabaseError("", {}, psycopg.errors.UndefinedTable("x")), False, False),
        (OperationalError("", {}, psycopg.errors.InvalidPassword("x")), False, False),
        (TimeoutError("no connection became free"), True, False),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_errors_that_pass_are_told_from_those_that_stay(
    error: sqlalchemy.exc.SQLAlchemyError, passing: bool, full: bool
) -> None:
    assert (outages.passing(error), outages.full(error)) == (passing, full)


def test_a_server_that_vanishes_is_not_waited_for_forever() -> None:
    engine = database._engine("postgresql+psycopg://me@host/db?connect_timeout=3")
    _, given = engine.dialect.create_connect_args(engine.url)
    assert given["connect_timeout"] == "3"
    ours = database._patience(engine.url)
    assert "connect_timeout" not in ours and ours["tcp_user_timeout"] == 20_000


def test_who_has_given_up_does_not_wait_as_long_again(
    make_spec: Callable[..., StudySpec], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []

    def outlast(act: Callable[[bool], None], tell: Any, seconds: float | None = None) -> None:
        calls.append(-1.0 if seconds is None else seconds)
        if len(calls) > 4:
            raise OutageError("the database is away")
        act(False)

    monkeypatch.setattr(outages, "outlast", outlast)
    with pytest.raises(OutageError):
        runner.run(make_spec(), catalog, [])
    assert set(calls[:5]) == {-1.0} and set(calls[5:]) == {0.0}
