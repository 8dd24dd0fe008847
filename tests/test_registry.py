"""Model versions: what is copied, numbered and recorded, and that none of it ever changes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from hpo_core.errors import StorageError
from hpo_core.registry import provenance, versions
from hpo_core.registry.model_version import versions_of
from hpo_core.registry.versions import Candidate, ModelVersion
from hpo_core.storage import database, tables


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    shutil.copy(empty_database, tmp_path / "hpo.db")
    engine = database.open_or_create(f"sqlite:///{tmp_path}/hpo.db")
    yield engine
    engine.dispose()


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    """A trial with a checkpoint."""
    checkpoint = tmp_path / "best.safetensors"
    checkpoint.write_bytes(b"weights")
    return Candidate(
        study="digits",
        study_id=1,
        trial=4,
        metric="accuracy",
        value=0.97,
        metrics={"loss": 0.1},
        params={"lr": 0.1, "lr_scheduler": None},
        config={"epochs": 3, "model": {"name": "resnet18"}},
        checkpoint=checkpoint,
        code_folder=tmp_path,
    )


def register(engine: Engine, candidate: Candidate, name: str = "digits") -> ModelVersion:
    return versions.register(engine, name, candidate, candidate.code_folder / "models")


def another(candidate: Candidate, content: bytes, trial: int = 5) -> Candidate:
    checkpoint = candidate.checkpoint.with_name(f"trial-{trial}.safetensors")
    checkpoint.write_bytes(content)
    return replace(candidate, trial=trial, checkpoint=checkpoint)


def test_a_version_is_a_copy_with_its_lineage(engine: Engine, candidate: Candidate) -> None:
    version = register(engine, candidate)
    assert versions.list_versions(engine) == [version]
    assert version.label == "digits@1"
    assert Path(version.path) == candidate.code_folder / "models/digits/1/model.safetensors"
    candidate.checkpoint.write_bytes(b"something else")
    assert Path(version.path).read_bytes() == b"weights"
    assert version.sha256 == versions.digest(Path(version.path))
    for field in ("study", "study_id", "trial", "metric", "value", "metrics", "params", "config"):
        assert getattr(version, field) == getattr(candidate, field)
    assert version.git_commit is None  # outside a repository
    assert version.versions == provenance.versions()
    with pytest.raises(FrozenInstanceError):
        version.version = 2  # type: ignore[misc]


def test_registering_again_gives_the_same_version(engine: Engine, candidate: Candidate) -> None:
    first = register(engine, candidate)
    assert register(engine, candidate) == first
    assert register(engine, candidate, "other").version == 1
    assert len(versions.list_versions(engine)) == 2
    assert versions.list_versions(engine, "digits") == [first]


def test_versions_are_numbered_by_model(engine: Engine, candidate: Candidate) -> None:
    register(engine, candidate)
    second = register(engine, another(candidate, b"better"))
    changed = register(engine, another(candidate, b"changed"))  # the same trial, another file
    assert [v.version for v in versions.list_versions(engine, "digits")] == [1, 2, 3]
    assert (second.version, changed.version) == (2, 3)
    assert Path(second.path).read_bytes() == b"better"


def test_a_folder_that_no_row_names_is_passed_over(engine: Engine, candidate: Candidate) -> None:
    orphan = candidate.code_folder / "models" / "digits" / "1"
    orphan.mkdir(parents=True)
    (orphan / "model.safetensors").write_bytes(b"of a process that was killed")
    version = register(engine, candidate)
    assert version.version == 1  # numbers have no gaps, whatever lies in the folder
    assert Path(version.path).read_bytes() == b"weights"
    assert (orphan / "model.safetensors").read_bytes() == b"of a process that was killed"


def test_a_row_that_cannot_be_written_leaves_no_version(
    engine: Engine, candidate: Candidate
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE INSERT ON hpo_model_versions "
                "BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        )
    with pytest.raises(StorageError, match="full"):
        register(engine, candidate)
    assert versions.list_versions(engine) == []
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER refuse"))
    assert register(engine, candidate).version == 1  # the folder that was left is its own
    assert not list(candidate.code_folder.rglob(".part-*"))


def test_two_processes_never_share_a_number(engine: Engine, candidate: Candidate) -> None:
    candidates = [another(candidate, f"{n}".encode(), trial=n) for n in range(6)]
    start = threading.Barrier(len(candidates))
    made: list[ModelVersion] = []

    def race(one: Candidate) -> None:
        start.wait()
        made.append(register(engine, one))

    threads = [threading.Thread(target=race, args=(one,)) for one in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(version.version for version in made) == [1, 2, 3, 4, 5, 6]
    for version in made:
        assert Path(version.path).read_bytes() == f"{version.trial}".encode()


def test_a_checkpoint_that_cannot_be_read(engine: Engine, candidate: Candidate) -> None:
    missing = replace(candidate, checkpoint=candidate.code_folder / "none.safetensors")
    with pytest.raises(StorageError, match=r"trial 4 cannot be registered: .*none.*: No such file"):
        register(engine, missing)
    with pytest.raises(StorageError, match="Is a directory"):
        register(engine, replace(candidate, checkpoint=candidate.code_folder))
    assert versions.list_versions(engine) == []


def test_a_folder_for_models_that_cannot_be_made(engine: Engine, candidate: Candidate) -> None:
    (candidate.code_folder / "models").write_text("a file in its place")
    with pytest.raises(StorageError, match="trial 4 cannot be registered"):
        register(engine, candidate)


def test_the_newest_version_of_a_trial_is_found(engine: Engine, candidate: Candidate) -> None:
    assert versions.version_of(engine, 1, 4) is None
    register(engine, candidate)
    newest = register(engine, candidate, "again")
    assert versions.version_of(engine, 1, 4) == newest
    assert versions.version_of(engine, 2, 4) is None


def test_the_version_that_a_study_registers_itself_comes_first(
    engine: Engine, candidate: Candidate
) -> None:
    own = register(engine, candidate, "own")
    newer = register(engine, candidate, "newer")
    assert versions_of(engine, 1, 4) == [newer, own]
    row = {"study_id": 1, "seq": 0, "kind": "model_registered", "time": 1.0, "trial": 4}
    with engine.begin() as connection:
        connection.execute(tables.hpo_events.insert(), row | {"data": json.dumps({"name": "own"})})
    assert versions_of(engine, 1, 4) == [own, newer]
    assert versions.version_of(engine, 1, 4) == own


# ---- where a result came from ----


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_the_commit_says_whether_files_differ(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert provenance.git_commit(tmp_path) is None  # no commit yet
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    commit = provenance.git_commit(tmp_path)
    assert commit is not None and len(commit) == 40
    (tmp_path / "untracked").touch()
    assert provenance.git_commit(tmp_path) == commit
    (tmp_path / "code.py").write_text("2")
    assert provenance.git_commit(tmp_path) == f"{commit}-dirty"


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_what_differs_from_the_commit_has_a_digest(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "work")
    (tmp_path / "code.py").write_bytes(b"1\xff")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    clean = provenance.code(tmp_path)
    assert clean == {"git_branch": "work", "git_diff_sha256": None}
    (tmp_path / "code.py").write_bytes(b"2\xfe")
    first = provenance.code(tmp_path)["git_diff_sha256"]
    assert first is not None and provenance.code(tmp_path)["git_diff_sha256"] == first
    (tmp_path / "code.py").write_bytes(b"3\xfe")
    assert provenance.code(tmp_path)["git_diff_sha256"] not in (None, first)


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_the_digest_is_that_of_the_diff_and_a_loose_commit_has_no_branch(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "work")
    assert provenance.code(tmp_path) == {"git_branch": None, "git_diff_sha256": None}  # no commit
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    (tmp_path / "code.py").write_text("2\n\n")
    words = ["git", "-C", str(tmp_path), "diff", "HEAD", "--binary"]
    said = subprocess.run(words, check=True, capture_output=True).stdout
    digest = hashlib.sha256(said).hexdigest()
    assert provenance.code(tmp_path) == {"git_branch": "work", "git_diff_sha256": digest}
    git(tmp_path, "checkout", "--quiet", "--detach")
    assert provenance.code(tmp_path) == {"git_branch": None, "git_diff_sha256": digest}
    assert provenance.git_commit(tmp_path) is not None


def test_there_is_no_commit_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    assert provenance.git_commit(tmp_path) is None


def test_libraries_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "LIBRARIES", ("optuna", "no-such-library"))
    assert set(provenance.versions()) == {"python", "optuna"}
