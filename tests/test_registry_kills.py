"""Registering and promoting are killed at every step that makes something durable: nothing half done is ever seen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import registered
from forking import Forks, Ran
from forking import forks as forks
from registered import folders
from test_crash_points import OBJECTIVE, OF_ALIASES, OF_DELETIONS, STUDY

from hpo_core import faults
from hpo_core.registry import versions
from hpo_core.registry.registry import Registry
from hpo_core.storage import database

KILLED = -9
OF_VERSIONS = ("model.write", "model.rename", "model.insert", "model.registered")


@pytest.fixture
def registry(storage: str) -> Iterator[Registry]:
    """An empty registry on SQLite and on PostgreSQL."""
    opened = Registry.open(storage)
    yield opened
    opened.engine.dispose()


def hpo(forks: Forks, folder: Path, registry: Registry, *words: str, fault: str = "") -> Ran:
    """`hpo models WORDS`, killed at a point unless it is empty."""
    environment = {"HPO_FAULT": f"{fault}:1:kill"} if fault else {}
    return forks.hpo("models", *words, "--storage", registry.storage, folder=folder, **environment)


def test_every_point_of_the_registry_is_one_of_these() -> None:
    assert {point for point in faults.POINTS if point.startswith("model.")} == {
        *OF_VERSIONS,
        *OF_ALIASES,
        *OF_DELETIONS,
    }


@pytest.mark.parametrize("point", OF_ALIASES)
def test_a_kill_of_a_promotion(
    point: str, forks: Forks, registry: Registry, tmp_path: Path
) -> None:
    study = registered.study(registry.engine)
    for trial in range(2):
        registered.register(registry.engine, tmp_path, trial=trial, study_id=study)
    registry.promote("digits@1", "production")
    before = registry.find("digits"), registry.log("digits")
    words = ("promote", "digits@2", "production")
    assert hpo(forks, tmp_path, registry, *words, fault=point).code == KILLED
    if point == "model.change":  # nothing of it
        assert (registry.find("digits"), registry.log("digits")) == before
        assert registry.get("digits@production").version == 1
        assert hpo(forks, tmp_path, registry, *words).code == 0
    else:  # all of it
        assert "already" in hpo(forks, tmp_path, registry, *words).out
    assert [each.stage for each in registry.find("digits")] == ["archived", "production"]
    assert registry.verified("digits@production").version == 2
    assert [each.what["event"] for each in registry.log("digits")][3:] == ["archived", "promoted"]


@pytest.mark.parametrize("point", OF_VERSIONS)
def test_a_kill_of_a_registration(
    point: str, forks: Forks, registry: Registry, tmp_path: Path
) -> None:
    engine = registry.engine
    study = registered.study(engine)
    registered.register(engine, tmp_path, study_id=study)
    registry.promote("digits@1", "production")
    models = tmp_path / "models"
    one = registered.candidate(tmp_path, study, 1)

    def act(_: int) -> None:
        faults.os.environ["HPO_FAULT"] = f"{point}:1:kill"  # type: ignore[attr-defined]
        faults._hits.clear()
        versions.register(database.open_existing(registry.storage), "digits", one, models)

    assert registered.at_once(1, act) == [KILLED]
    assert registry.verified("digits@production").version == 1
    for version in registry.versions("digits"):
        registry.verified(version.label)
    for name in folders(models / "digits"):
        assert name.startswith(".part-") or (models / "digits" / name / "provenance.json").exists()
    another = registered.register(engine, tmp_path, trial=2, study_id=study)
    again = versions.register(engine, "digits", one, models)
    assert {another.version, again.version} == {2, 3}  # no gap, whatever the kill has left
    assert [version.version for version in registry.versions("digits")] == [1, 2, 3]
    for version in registry.versions("digits"):
        registry.verified(version.label)
    assert not [name for name in folders(models / "digits") if name.startswith(".")]


@pytest.mark.parametrize("point", OF_VERSIONS)
def test_what_a_kill_has_left_is_taken_by_the_same_trial(
    point: str, registry: Registry, tmp_path: Path
) -> None:
    one = registered.candidate(tmp_path)

    def act(_: int) -> None:
        faults.os.environ["HPO_FAULT"] = f"{point}:1:kill"  # type: ignore[attr-defined]
        faults._hits.clear()
        own = database.open_existing(registry.storage)
        versions.register(own, "digits", one, tmp_path / "models")

    assert registered.at_once(1, act) == [KILLED]
    version = versions.register(registry.engine, "digits", one, tmp_path / "models")
    assert (version.version, version.folder.name) == (1, "1")
    assert registry.verified("digits") == version
    assert list(folders(tmp_path / "models/digits")) == ["1"]


def test_a_kill_of_a_registration_by_hand(
    forks: Forks, tmp_path: Path, empty_database: Path
) -> None:
    shutil.copy(empty_database, tmp_path / "hpo.db")
    storage = f"sqlite:///{tmp_path}/hpo.db"
    (tmp_path / "noisy.py").write_text(OBJECTIVE)
    (tmp_path / "study.yaml").write_text(STUDY.replace("register: {best_as: noisy}\n", ""))
    ran = forks.hpo("run", "study.yaml", "--allow-code", f"storage={storage}", folder=tmp_path)
    assert ran.code == 0, ran.err
    registry = Registry.open(storage)
    for point in OF_VERSIONS:
        name = point.removeprefix("model.")
        words = ("register", "crash", "--as", name)
        assert hpo(forks, tmp_path, registry, *words, fault=point).code == KILLED
        done = hpo(forks, tmp_path, registry, *words)
        said = " already is" if point == "model.registered" else ":"  # its row was written
        assert done.code == 0 and done.out.startswith(f"{name}@1{said} trial "), done
        shown = hpo(forks, tmp_path, registry, "verify", name)
        assert (shown.code, shown.out) == (0, f"{name}@1: 2 files are as they were registered\n")
        assert list(folders(tmp_path / "runs/models" / name)) == ["1"]
    registry.engine.dispose()
