"""Versions are deleted: what stays of them, what is refused, whose files are removed, and kills in the middle."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import optuna_dashboard
import pytest
import registered
from forking import Forks, Ran
from forking import forks as forks
from registered import at_once, folders

from hpo_core.errors import UsageError
from hpo_core.registry import versions
from hpo_core.registry.registry import Registry
from hpo_core.storage import database, studies
from hpo_core.storage.tables import hpo_model_aliases

KILLED = -9


@pytest.fixture
def registry(tmp_path: Path, empty_database: Path) -> Iterator[Registry]:
    """A registry with three versions of `digits`."""
    shutil.copy(empty_database, tmp_path / "hpo.db")
    yield from opened(f"sqlite:///{tmp_path}/hpo.db", tmp_path)


@pytest.fixture
def shared(storage: str, tmp_path: Path) -> Iterator[Registry]:
    """The same, on SQLite and on PostgreSQL."""
    yield from opened(storage, tmp_path)


def opened(storage: str, tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(storage)
    study = registered.study(opened.engine)
    for trial in range(3):
        registered.register(opened.engine, tmp_path, trial=trial, study_id=study)
    yield opened
    opened.engine.dispose()


def numbers(registry: Registry) -> list[int]:
    return [version.version for version in registry.versions("digits")]


# ---- what stays ----


def test_a_tombstone_stays_and_the_number_is_never_given_again(
    shared: Registry, tmp_path: Path
) -> None:
    last = shared.get("digits@3")
    shared.tag("digits@3", {"owner": "me"})
    done = shared.delete("digits@3", "the pictures were withdrawn")
    assert done.kept == "" and not last.folder.exists()
    (tombstone,) = shared.deleted("digits")
    assert tombstone == done.tombstone
    about = (tombstone.label, tombstone.sha256, tombstone.reason, tombstone.trial)
    assert about == ("digits@3", last.sha256, "the pictures were withdrawn", 2)
    with pytest.raises(
        UsageError, match=r"digits@3 was deleted on .*: the pictures were withdrawn"
    ):
        shared.get("digits@3")
    assert shared.get("digits").version == 2 and shared.find(tags={"owner": "me"}) == []
    study = last.study_id
    again = registered.register(shared.engine, tmp_path, trial=2, study_id=study)
    assert (again.version, again.sha256) == (4, last.sha256)
    assert shared.verified("digits@4").folder.name == "4"
    events = [(each.version, each.what["event"]) for each in shared.log("digits")]
    assert events[-3:] == [(3, "tagged"), (3, "deleted"), (4, "registered")]
    with pytest.raises(UsageError, match="has no version 9: it has 1 to 4"):
        shared.get("digits@9")


def test_what_an_alias_points_to_is_kept(registry: Registry) -> None:
    registry.promote("digits@1", "production")
    registry.promote("digits@1", "champion")
    with pytest.raises(UsageError, match=r"digits@1 is champion and production: .*digits@champion"):
        registry.delete("digits@1")
    with pytest.raises(UsageError, match="digits@1 is champion"):
        registry.delete_model("digits")
    assert numbers(registry) == [1, 2, 3] and registry.deleted() == []
    registry.unalias("digits", "champion")
    registry.archive("digits@1")
    assert registry.delete("digits@1").kept == ""
    assert numbers(registry) == [2, 3]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("digits", "may mean another version tomorrow"),
        ("digits@latest", "may mean another version tomorrow"),
        ("digits@archived", "may mean another version tomorrow"),
        ("digits@7", "has no version 7"),
        ("digts@1", "did you mean 'digits'"),
    ],
)
def test_only_a_number_says_what_to_delete(registry: Registry, reference: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        registry.delete(reference)
    with pytest.raises(UsageError, match="a reason is one line"):
        registry.delete("digits@1", "two\nlines")
    assert numbers(registry) == [1, 2, 3]


def test_a_whole_model_is_deleted(registry: Registry, tmp_path: Path) -> None:
    registered.register(registry.engine, tmp_path, "letters")
    registry.delete("digits@2")
    assert [each.tombstone.version for each in registry.delete_model("digits", "why")] == [1, 2, 3]
    assert [each.name for each in registry.versions("letters")] == ["letters"]
    assert not list(folders(tmp_path / "models/digits"))
    with pytest.raises(UsageError, match="'digits' has no version left: digits@3 was deleted"):
        registry.get("digits")
    assert [each.what["event"] for each in registry.log("digits")].count("deleted") == 3
    with pytest.raises(UsageError, match="there is no model 'digit'"):
        registry.delete_model("digit")
    assert registered.register(registry.engine, tmp_path, trial=7).version == 4


def test_a_dashboard_shows_it_no_more(registry: Registry) -> None:
    registry.delete("digits@3")
    study = optuna.load_study(study_name="search", storage=registry.storage)
    note = optuna_dashboard.get_note(study)
    assert "| digits@2 |" in note and "digits@3" not in note
    registry.delete_model("digits")
    study = optuna.load_study(study_name="search", storage=registry.storage)
    assert "Model registry" not in optuna_dashboard.get_note(study)


# ---- whose files ----


def test_files_that_are_not_the_versions_are_left(registry: Registry, tmp_path: Path) -> None:
    """A relative path may mean the same model of another project."""
    folder = registry.get("digits@2").folder
    for path in folder.iterdir():
        path.write_text("of another project")
    assert "is not of digits@2" in registry.delete("digits@2").kept
    assert len(list(folder.iterdir())) == 3
    shutil.rmtree(registry.get("digits@1").folder)
    assert "is not here" in registry.delete("digits@1").kept
    assert numbers(registry) == [3]


def test_a_damaged_version_is_deleted_with_its_files(registry: Registry) -> None:
    folder = registry.get("digits@2").folder
    (folder / "model.safetensors").write_text("flipped")
    assert registry.delete("digits@2").kept == "" and not folder.exists()


def test_folders_that_are_no_versions_are_named(registry: Registry, tmp_path: Path) -> None:
    assert registry.strays() == []
    models = tmp_path / "models"
    for name in ("digits/4", "digits/.part-x-1-1-0", "others/1", ".hidden/1"):
        (models / name).mkdir(parents=True)
    shutil.copytree(models / "digits/2", tmp_path / "kept")
    registry.delete("digits@2")
    shutil.copytree(tmp_path / "kept", models / "digits/2")
    assert {
        stray.folder.relative_to(models).as_posix(): stray.why for stray in registry.strays()
    } == {
        "digits/2": "it is of digits@2, which was deleted: hpo models delete digits@2 removes it",
        "digits/.part-x-1-1-0": "it is not whole: a registration or a deletion is at work, or was killed",
        "digits/4": "no version in this database has it",
        "others/1": "no version in this database has it",
    }
    assert registry.delete("digits@2").kept == ""
    assert not (models / "digits/2").exists()


# ---- at once, and killed ----


def test_a_promotion_and_a_deletion_at_once(shared: Registry, tmp_path: Path) -> None:
    """Either the version has the alias, files and all, or it is deleted and has none."""

    def act(number: int) -> None:
        own = Registry.open(shared.storage)
        try:
            if number % 2:
                own.delete(f"digits@{number // 2 + 1}")
            else:
                own.promote(f"digits@{number // 2 + 1}", f"mine{number}")
        except UsageError:
            pass

    assert at_once(6, act) == [0] * 6
    there, gone = shared.find("digits") if numbers_or_none(shared) else [], shared.deleted()
    assert sorted([*(each.version.version for each in there), *(t.version for t in gone)]) == [
        1,
        2,
        3,
    ]
    for each in there:
        assert len(each.aliases) == 1
        shared.verified(each.version.label)
    with database.connect(shared.engine) as connection:
        held = {row.version for row in connection.execute(hpo_model_aliases.select())}
    assert held == {each.version.version for each in there}
    assert len(list(folders(tmp_path / "models/digits"))) == len(there)


def numbers_or_none(registry: Registry) -> list[int]:
    try:
        return numbers(registry)
    except UsageError:
        return []


def test_deletions_and_registrations_at_once(shared: Registry, tmp_path: Path) -> None:
    study = shared.get("digits").study_id
    more = [registered.candidate(tmp_path, study, trial) for trial in range(3, 8)]

    def act(number: int) -> None:
        own = Registry.open(shared.storage)
        if number < 3:
            own.delete(f"digits@{number + 1}")
        else:
            versions.register(own.engine, "digits", more[number - 3], tmp_path / "models")

    assert at_once(8, act) == [0] * 8
    assert numbers(shared) == [4, 5, 6, 7, 8]
    for version in shared.versions("digits"):
        shared.verified(version.label)


def hpo(forks: Forks, folder: Path, registry: Registry, *words: str, fault: str = "") -> Ran:
    environment = {"HPO_FAULT": f"{fault}:1:kill"} if fault else {}
    return forks.hpo("models", *words, "--storage", registry.storage, folder=folder, **environment)


@pytest.mark.parametrize("point", ["model.change", "model.changed", "model.remove"])
def test_a_kill_of_a_deletion(point: str, forks: Forks, shared: Registry, tmp_path: Path) -> None:
    words = ("delete", "digits@2", "--yes", "--reason", "why")
    assert hpo(forks, tmp_path, shared, *words, fault=point).code == KILLED
    if point == "model.change":
        assert shared.verified("digits@2").version == 2 and shared.deleted() == []
    else:
        assert [each.label for each in shared.deleted()] == ["digits@2"]
        (stray,) = shared.strays()
        assert stray.folder.name == "2" or stray.folder.name.startswith(".part-")
        shown = hpo(forks, tmp_path, shared, "verify", "--all")
        assert shown.code == 0 and str(stray.folder) in shown.err
    done = hpo(forks, tmp_path, shared, *words)
    assert done.code == 0 and "digits@2 was deleted on" in done.out, done.err
    assert shared.strays() == [] and list(folders(tmp_path / "models/digits")) == ["1", "3"]
    assert numbers(shared) == [1, 3] and len(shared.deleted()) == 1


# ---- studies that are deleted ----


def test_a_study_never_gets_the_id_of_a_deleted_one_with_versions(
    shared: Registry, tmp_path: Path
) -> None:
    """SQLite gives the last id away again: the new study's note would list the old one's versions."""
    old = shared.get("digits@1").study_id
    optuna.delete_study(study_name="search", storage=shared.storage)
    new = registered.study(shared.engine)
    assert new != old
    shared.promote("digits@1", "production")
    study = optuna.load_study(study_name="search", storage=shared.storage)
    assert study.user_attrs == {} and "digits" not in optuna_dashboard.get_note(study)
    assert versions.version_of(shared.engine, new, 0) is None
    record = studies.find(shared.engine, "search")
    assert record is not None and record.study_id == new
    study.add_trial(optuna.trial.create_trial(value=1.0))
    assert [trial.number for trial in study.trials] == [0]


# ---- the command ----


def test_the_command(forks: Forks, registry: Registry, tmp_path: Path) -> None:
    refused = hpo(forks, tmp_path, registry, "delete", "digits@1")
    assert refused.code == 2 and "nobody can be asked" in refused.err and "--yes" in refused.err
    done = hpo(forks, tmp_path, registry, "delete", "digits@1", "--yes", "--json")
    (told,) = json.loads(done.out)
    assert (told["name"], told["version"], told["kept"], told["reason"]) == ("digits", 1, "", "")
    assert hpo(forks, tmp_path, registry, "delete", "digits", "--yes").code == 2
    registry.promote("digits@3", "production")
    held = hpo(forks, tmp_path, registry, "delete", "digits", "--all", "--yes")
    assert held.code == 2 and "digits@3 is production" in held.err
    registry.unalias("digits", "production")
    every = hpo(forks, tmp_path, registry, "delete", "digits", "--all", "--yes", "--reason", "old")
    assert every.code == 0 and every.out.count("was deleted on") == 3
    logged = hpo(forks, tmp_path, registry, "log", "digits")
    assert logged.code == 0 and "reason old" in logged.out and "{" not in logged.out
    shown = hpo(forks, tmp_path, registry, "verify", "--all")
    assert (shown.code, shown.err) == (0, "") and shown.out.count("was deleted on") == 3
    verified = hpo(forks, tmp_path, registry, "verify", "digits@3")
    assert verified.code == 2 and "digits@3 was deleted on" in verified.err
    (tmp_path / "models/digits/9").mkdir()
    shown = hpo(forks, tmp_path, registry, "verify", "--all", "--json")
    (stray,) = json.loads(shown.out)
    assert stray["stray"].endswith("digits/9") and stray["damage"] == [] and shown.code == 0


def test_somebody_at_a_terminal_is_asked(registry: Registry, tmp_path: Path) -> None:
    for answer, left in (("n", 3), ("y", 2)):
        ours, theirs = pty.openpty()
        words = ["models", "delete", "digits@1", "--storage", registry.storage]
        with subprocess.Popen(
            [sys.executable, "-c", "from hpo_core.cli.main import main; main()", *words],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
        ) as process:
            os.write(ours, f"{answer}\n".encode())
            _, said = process.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert b"digits@1: trial 0 of study search" in said and b"Delete this for good?" in said
        assert process.returncode == (0 if answer == "y" else 2), said
        assert len(registry.versions("digits")) == left


def test_a_moved_database_deletes_what_lies_beside_it(tmp_path: Path, empty_database: Path) -> None:
    (tmp_path / "a").mkdir()
    shutil.copy(empty_database, tmp_path / "a/hpo.db")
    first = Registry.open(f"sqlite:///{tmp_path}/a/hpo.db")
    registered.register(first.engine, tmp_path / "a")
    first.engine.dispose()
    (tmp_path / "a").rename(tmp_path / "b")
    moved = Registry.open(f"sqlite:///{tmp_path}/b/hpo.db")
    assert moved.delete("digits@1").kept == ""
    assert not (tmp_path / "b/models/digits/1").exists()
    moved.engine.dispose()
