"""`hpo doctor`: what it finds on machines that are well and on machines that are not."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import typer

from hpo_core import hookimpl, plugins
from hpo_core.cli import devices, doctor
from hpo_core.cli.storage_check import storage_findings

ANSWER = {"torch": "9.9", "built_for": "13", "cuda": [], "mps": False, "threads": 2}
DEVICE = {"name": "Some GPU", "memory": 80 * 2**30, "capability": "9.0"}


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing torch takes seconds: a test that is about devices says what torch would answer."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


@pytest.fixture
def broken_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("lost", "no_such_module_of_hpo", "hpo")
    monkeypatch.setattr(plugins, "installed", lambda: [point])


def run(capsys: pytest.CaptureFixture[str], storage: str) -> dict[str, Any]:
    doctor.doctor(storage=storage, as_json=True)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def wal_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE some (text)")
        connection.executemany("INSERT INTO some VALUES (?)", [("x" * 200,)] * 500)
    connection.close()


def answers(monkeypatch: pytest.MonkeyPatch, probe: str) -> list[devices.Found]:
    """What is found about devices when torch's process runs `probe` instead."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(devices, "PROBE", probe)
    return list(devices.device_findings())


def test_a_healthy_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wal_database(tmp_path / "a.db")
    document = run(capsys, f"sqlite:///{tmp_path}/a.db")
    assert document["healthy"] is True
    software = {row["name"]: row["value"] for row in document["software"]}
    assert {"hpo", "python", "optuna", "pydantic"} <= set(software)
    storage = {row["name"]: row["value"] for row in document["storage"]}
    assert (storage["journal mode"], storage["integrity"]) == ("wal", "ok")
    assert {row["name"] for row in document["machine"]} >= {"cores", "memory", "disk"}
    assert document["devices"] == [{"name": "torch", "value": "not installed", "status": "note"}]


def test_text_says_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    doctor.doctor(storage=f"sqlite:///{tmp_path}/none.db")
    lines = capsys.readouterr().out.splitlines()
    assert "storage" in lines and "  torch  NOTE: not installed" in lines
    assert lines[-1] == "nothing is broken"


def test_a_database_that_is_not_there_is_no_fault_and_not_created(tmp_path: Path) -> None:
    found = list(storage_findings(f"sqlite:///{tmp_path}/none.db"))
    assert found[-1] == ("database", "not there yet: `hpo run` creates it", "note")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_plugin_ends_with_its_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, broken_plugin: None
) -> None:
    with pytest.raises(typer.Exit) as ended:
        doctor.doctor(storage=f"sqlite:///{tmp_path}/none.db")
    assert ended.value.exit_code == 4
    text = capsys.readouterr().out
    assert "BROKEN: ? ?: ModuleNotFoundError: No module named 'no_such_module_of_hpo'" in text
    assert text.endswith("broken: lost\n")


@pytest.mark.parametrize("content", [b"not a database" * 100, b""])
def test_a_file_that_is_no_database(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.db").write_bytes(content)
    if not content:  # SQLite takes an empty file for an empty database
        assert run(capsys, f"sqlite:///{tmp_path}/a.db")["healthy"] is True
        return
    with pytest.raises(typer.Exit) as ended:
        run(capsys, f"sqlite:///{tmp_path}/a.db")
    assert ended.value.exit_code == 5
    storage = json.loads(capsys.readouterr().out)["storage"]
    assert storage[-1] == {
        "name": "database",
        "value": "file is not a database",
        "status": "broken",
    }


def test_a_damaged_database_is_broken(tmp_path: Path) -> None:
    wal_database(tmp_path / "a.db")
    data = bytearray((tmp_path / "a.db").read_bytes())
    data[3 * 4096 : 5 * 4096] = b"\xff" * 2 * 4096
    (tmp_path / "a.db").write_bytes(data)
    assert list(storage_findings(f"sqlite:///{tmp_path}/a.db"))[-1][2] == "broken"


@pytest.mark.parametrize(
    "storage", ["nonsense", "sqlite://", "postgresql+psycopg://me:secret@127.0.0.1:1/none"]
)
def test_a_storage_that_cannot_be_reached_is_broken_and_its_password_kept(storage: str) -> None:
    found = list(storage_findings(storage))
    assert found[-1][2] == "broken"
    assert "secret" not in str(found)


def test_devices_are_what_torch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(ANSWER | {"cuda": [DEVICE]})
    found = answers(monkeypatch, f"print('a warning'); print({text!r})")
    assert found[0] == ("torch", "9.9, built for 13", "ok")
    assert found[-1] == ("cuda:0", "Some GPU, 80.0 GiB, capability 9.0", "ok")


def test_a_build_for_cuda_that_sees_no_device_is_worth_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = answers(monkeypatch, f"print({json.dumps(ANSWER)!r})")
    assert found[-1] == ("cuda", "none seen: training runs on the CPU", "note")


def test_a_torch_that_fails_or_hangs_does_not_stop_the_doctor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (failed,) = answers(monkeypatch, "raise ImportError('libcuda.so is too old')")
    assert failed == ("torch", "cannot be imported: ImportError: libcuda.so is too old", "note")
    (died,) = answers(monkeypatch, "import os; os._exit(9)")
    assert died == ("torch", "cannot be imported: exit code 9", "note")
    monkeypatch.setattr(devices, "PROBE", "import time; time.sleep(60)")
    (hung,) = devices.device_findings(timeout=0.2)
    assert hung == ("torch", "did not answer within 0.2 s", "note")


def test_a_name_that_two_plugins_offer_is_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("twice_offered")

    @hookimpl
    def register_models(register: Any) -> None:
        register("net", dict)

    module.register_models = register_models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "twice_offered", module)
    points = [EntryPoint(name, "twice_offered", "hpo") for name in ("one", "two")]
    monkeypatch.setattr(plugins, "installed", lambda: points)
    found = [f for f in doctor.examine("sqlite:///none.db") if f.name == "models net"]
    assert [finding.status for finding in found] == ["note"]
