"""One driver per study, by the database's clock: races, kills, expiry, takeovers and outages; on both databases."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import sqlalchemy
from postgres import Postgres
from sqlalchemy import Engine, update

from hpo_core.errors import LeaseLostError, StorageError, StudyHeldError
from hpo_core.storage import database, leases, studies
from hpo_core.storage.holder import Holder
from hpo_core.storage.ledger import Ledger
from hpo_core.storage.tables import hpo_leases

HOLDER = """\
import sys
from hpo_core.errors import StudyHeldError
from hpo_core.storage import database, leases
engine = database.open_or_create(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for study_id in map(int, sys.argv[2:]):
    try:
        leases.take(engine, study_id, "s", ttl=3600.0)
        print("held", flush=True)
    except StudyHeldError:
        print("refused", flush=True)
sys.stdin.readline()
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def engine(storage: str) -> Iterator[Engine]:
    engine = database.open_or_create(storage)
    yield engine
    engine.dispose()


@pytest.fixture
def study_id(engine: Engine) -> int:
    metric = {"metric": {"name": "accuracy", "goal": "maximize"}}
    return studies.create(engine, "s", "maximize", metric, 9, "runs").study_id


@pytest.fixture
def start(storage: str) -> Iterator[Start]:
    """Start another process that will take these studies when it is told to."""
    started: list[subprocess.Popen[str]] = []

    def act(*study_ids: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, storage, *map(str, study_ids)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        assert said(started[-1]) == "ready"
        return started[-1]

    yield act
    for process in started:
        process.kill()
        process.communicate(timeout=20)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def held_by(engine: Engine, study_id: int, holder: Holder) -> None:
    """Make the lease look like another process's."""
    with database.connect(engine) as connection:
        values = {"holder": json.dumps(asdict(holder))}
        connection.execute(update(hpo_leases).where(hpo_leases.c.study_id == study_id), values)


def expires_at(engine: Engine, study_id: int) -> float:
    with engine.connect() as connection:
        query = sqlalchemy.select(hpo_leases.c.expires_at)
        return float(
            connection.execute(query.where(hpo_leases.c.study_id == study_id)).scalar_one()
        )


def later(engine: Engine, seconds: float) -> None:
    """Bring the end of every lease nearer, as if so many seconds had gone by."""
    with database.connect(engine) as connection:
        connection.execute(update(hpo_leases).values(expires_at=hpo_leases.c.expires_at - seconds))


# ---- taking ----


def test_the_second_driver_is_told_who_is_first_and_since_when(
    engine: Engine, study_id: int, start: Start
) -> None:
    first = start(study_id)
    tell(first)
    assert said(first) == "held"
    with pytest.raises(StudyHeldError) as caught:
        leases.take(engine, study_id, "digits")
    host = re.escape(socket.gethostname())
    assert re.fullmatch(
        rf"study 'digits' is being run by process {first.pid} on {host} since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d: wait for it, or stop it first",
        str(caught.value),
    )
    assert caught.value.exit_code == 7 and not isinstance(caught.value, LeaseLostError)


def test_since_is_now(engine: Engine, study_id: int) -> None:
    before = time.time()
    leases.take(engine, study_id, "s")
    with engine.connect() as connection:
        row = connection.execute(sqlalchemy.select(hpo_leases)).one()
    assert before - 2 < row.since < time.time() + 2
    assert row.expires_at - row.since == pytest.approx(leases.TTL)


def test_a_killed_driver_is_followed_at_once(engine: Engine, study_id: int, start: Start) -> None:
    first = start(study_id)
    tell(first)
    assert said(first) == "held"
    first.kill()
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has taken note yet
    assert leases.take(engine, study_id, "s").token == 2


def test_of_racing_drivers_one_wins(engine: Engine, start: Start) -> None:
    ids = list(range(100, 140))
    racers = [start(*ids) for _ in range(3)]
    for racer in racers:
        tell(racer)
    outcomes = [[said(racer) for racer in racers] for _ in ids]
    assert all(sorted(outcome) == ["held", "refused", "refused"] for outcome in outcomes)


def test_a_released_study_is_free_and_its_token_has_grown(engine: Engine, study_id: int) -> None:
    first = leases.take(engine, study_id, "s")
    first.release()
    first.release()
    second = leases.take(engine, study_id, "s")
    first.release()  # it holds nothing any more
    with pytest.raises(StudyHeldError):
        leases.take(engine, study_id, "s")
    assert (first.token, second.token) == (1, 2)


def test_studies_are_held_one_by_one(engine: Engine, study_id: int) -> None:
    leases.take(engine, study_id, "s")
    leases.take(engine, study_id + 1, "t")


# ---- whose process cannot be looked up ----

ELSEWHERE = replace(Holder.here(), machine="another", host="far", pid=7)


def test_a_driver_on_another_machine_is_followed_when_its_lease_is_over(
    engine: Engine, study_id: int
) -> None:
    leases.take(engine, study_id, "s", ttl=3600.0)
    held_by(engine, study_id, ELSEWHERE)
    with pytest.raises(
        StudyHeldError,
        match=r"process 7 on far since .*; if that process has died, the study is free in 3[56]\d\d s",
    ):
        leases.take(engine, study_id, "s")
    later(engine, 3601.0)
    assert leases.take(engine, study_id, "s").token == 2


@pytest.mark.parametrize(
    ("holder", "gone"),
    [
        (Holder.here(), False),
        (replace(Holder.here(), started=1), True),  # the id is another process's now
        (replace(Holder.here(), pid=2**22 + 1), True),  # more than Linux gives
        (replace(ELSEWHERE, pid=2**22 + 1), False),
        (replace(Holder.here(), machine="", pid=2**22 + 1), False),
    ],
)
def test_a_process_is_known_to_be_gone(holder: Holder, gone: bool) -> None:
    assert holder.gone is gone


def test_a_stopped_process_is_not_gone_and_a_dead_one_is() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        text = Path(f"/proc/{process.pid}/stat").read_text()
        started = int(text.rpartition(")")[2].split()[19])
        holder = replace(Holder.here(), pid=process.pid, started=started)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert not holder.gone
    finally:
        process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert holder.gone  # though its parent has not taken note
    process.wait(20)
    assert holder.gone


# ---- the guard ----


def open_ledger(engine: Engine, study_id: int, lease: leases.Lease) -> Ledger:
    return Ledger(engine, study_id, "s", "maximize", "accuracy", lease.guard)


def test_a_driver_that_was_followed_writes_nothing_more(engine: Engine, study_id: int) -> None:
    slow = leases.take(engine, study_id, "s", ttl=0.0)
    ledger = open_ledger(engine, study_id, slow)
    ledger.record("warning", text="mine")
    assert len(ledger.commit()) == 1  # expired, but nobody has taken it
    fast = leases.take(engine, study_id, "s")
    ledger.record("warning", text="late")
    ledger.study.ask()
    for _ in range(2):
        with pytest.raises(LeaseLostError, match=r"is being run by process \d+ on .* took it over"):
            ledger.commit()
    assert slow.lost and not fast.lost
    slow.release()
    follower = open_ledger(engine, study_id, fast)
    assert [event.data for event in follower.events()] == [{"text": "mine"}]
    assert follower.trials() == []
    follower.record("warning", text="next")
    assert follower.commit()[0].seq == 1


def test_a_lease_that_was_taken_and_left_is_lost_all_the_same(
    engine: Engine, study_id: int
) -> None:
    slow = leases.take(engine, study_id, "s", ttl=0.0)
    leases.take(engine, study_id, "s").release()
    ledger = open_ledger(engine, study_id, slow)
    with pytest.raises(LeaseLostError, match="was taken from this process while it was away"):
        ledger.commit()


def test_a_commit_is_a_sign_of_life(engine: Engine, study_id: int) -> None:
    lease = leases.take(engine, study_id, "s", ttl=3600.0)
    ledger = open_ledger(engine, study_id, lease)
    fresh = expires_at(engine, study_id)
    ledger.commit()
    assert expires_at(engine, study_id) == fresh  # a third is not over
    later(engine, 1800.0)
    ledger.record("warning")
    ledger.commit()
    assert expires_at(engine, study_id) >= fresh


# ---- renewal ----


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_lease_is_renewed_while_its_driver_works(engine: Engine, study_id: int) -> None:
    lease = leases.take(engine, study_id, "s", ttl=0.6)
    held_by(engine, study_id, ELSEWHERE)  # it would not be known to live
    first = expires_at(engine, study_id)
    with lease.renewing():
        wait_until(lambda: expires_at(engine, study_id) > first + 1.0)
        assert not lease.lost


def test_a_driver_learns_that_it_was_followed(engine: Engine, study_id: int) -> None:
    lease = leases.take(engine, study_id, "s", ttl=0.3)
    later(engine, 3600.0)
    leases.take(engine, study_id, "s")
    with lease.renewing():
        wait_until(lambda: lease.lost)


def test_renewal_outlasts_a_restart_of_the_server(postgres: Postgres) -> None:
    engine = database.open_or_create(postgres.fresh())
    lease = leases.take(engine, 1, "s", ttl=1.0)
    held_by(engine, 1, ELSEWHERE)
    first = expires_at(engine, 1)
    with lease.renewing():
        postgres.restart(seconds_down=1.5)  # it expires meanwhile, and nobody takes it
        wait_until(lambda: expires_at(engine, 1) > first + 1.5)
        assert not lease.lost
    lease.release()
    assert leases.take(engine, 1, "s").token == 2
    engine.dispose()


def test_a_release_without_a_database_says_nothing(postgres: Postgres) -> None:
    engine = database.open_or_create(postgres.fresh())
    lease = leases.take(engine, 1, "s", ttl=3600.0)
    postgres.stop()
    try:
        lease.release()
        with pytest.raises(StorageError):
            leases.take(engine, 1, "s")
    finally:
        postgres.start()
    with pytest.raises(StudyHeldError):
        leases.take(engine, 1, "s")
    lease.release()
    leases.take(engine, 1, "s")
    engine.dispose()
