"""`hpo stop`: a study that runs in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from hpo_core.cli import stopping
from hpo_core.errors import StudyHeldError, UsageError
from hpo_core.storage import database, leases, studies
from hpo_core.storage.studies import StudyRecord
from hpo_core.storage.tables import hpo_leases

DRIVER = """\
import signal, sys, time
from hpo_core.storage import database, leases, studies
engine = database.open_existing(sys.argv[1])
lease = leases.take(engine, studies.find(engine, "s").study_id, "s")
deaf = len(sys.argv) > 2
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
print("ready", flush=True)
while deaf or not stopped:
    time.sleep(0.05)
lease.release()
"""


@pytest.fixture
def record(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> StudyRecord:
    monkeypatch.chdir(tmp_path)
    Path("hpo.db").write_bytes(empty_database.read_bytes())
    engine = database.open_existing("sqlite:///hpo.db")
    identity = {"metric": {"name": "loss", "goal": "minimize"}}
    made = studies.create(engine, "s", "minimize", identity, 3, "runs/s")
    engine.dispose()
    return made


@pytest.fixture
def driver(record: StudyRecord) -> Iterator[subprocess.Popen[str]]:
    yield from _driver()


@pytest.fixture
def deaf_driver(record: StudyRecord) -> Iterator[subprocess.Popen[str]]:
    yield from _driver("deaf")


def _driver(*how: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the study until it is told to stop."""
    command = [sys.executable, "-c", DRIVER, "sqlite:///hpo.db", *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_running_study_is_stopped_and_waited_for(
    driver: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stopping.stop("s", "sqlite:///hpo.db", 60)
    assert driver.wait(60) == 0
    said = capsys.readouterr().err
    assert f"process {driver.pid} finishes" in said and "study 's' has stopped" in said


def test_one_that_takes_too_long_is_not_waited_for(deaf_driver: subprocess.Popen[str]) -> None:
    with pytest.raises(StudyHeldError, match=r"has not stopped within 0\.2 s"):
        stopping.stop("s", "sqlite:///hpo.db", 0.2)
    assert deaf_driver.poll() is None


def test_a_study_that_does_not_run_is_no_error(
    record: StudyRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    stopping.stop("s", "sqlite:///hpo.db", 1)
    assert "is not running" in capsys.readouterr().err


def test_one_on_another_machine_must_be_stopped_there(record: StudyRecord) -> None:
    engine = database.open_existing("sqlite:///hpo.db")
    lease = leases.take(engine, record.study_id, "s")
    elsewhere = '{"machine": "other", "host": "far", "pid": 1, "started": 1}'
    with engine.begin() as connection:
        connection.execute(update(hpo_leases).values(holder=elsewhere))
    with pytest.raises(UsageError, match="process 1 on far"):
        stopping.stop("s", "sqlite:///hpo.db", 1)
    lease.release()
    engine.dispose()
