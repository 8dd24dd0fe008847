"""Where checkpoints may be kept: what a study file may say, and what is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored import MakeSpec

from hpo_core import addresses
from hpo_core.addresses import UnavailableError
from hpo_core.errors import StudyFileError
from hpo_core.spec import StudySpec

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What references stand for."""
    monkeypatch.setenv("STORE", "s3://bucket/hpo")
    monkeypatch.setenv("PASSWORD", "hunter22")
    monkeypatch.setenv("RELATIVE", "runs")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOT_SET", raising=False)


@pytest.mark.parametrize(
    "address",
    [
        "runs/checkpoints",
        "/shared/hpo",
        "file:///shared/hpo",
        "s3://bucket",
        "s3://bucket/hpo/",
        "sftp://user@host/hpo",
        "sftp://user:${env:PASSWORD}@host/hpo",
        "${env:STORE}/mine",
        "a:b",
    ],
)
def test_an_address_that_may_be(address: str) -> None:
    assert addresses.problem(address) is None


@pytest.mark.parametrize(
    ("address", "said", "meant"),
    [
        ("S3://bucket/x", "there is no store of the kind 'S3://'", "s3://bucket/x"),
        ("gss://bucket", "there is no store", "gs://bucket"),
        ("nonsense://bucket", "there is no store", None),
        ("simplecache::s3://bucket", "there is no store", None),
        ("s3:/bucket/x", "begins with s3://", "s3://bucket/x"),
        ("s3:bucket", "begins with s3://", "s3://bucket"),
        ("s3://", "names nothing behind s3://", None),
        ("file://shared/hpo", "followed by an absolute path", None),
        ("memory://x", "ends with its process", None),
        ("gs://bucket", "gs:// needs gcsfs, which is not installed: pip install gcsfs", None),
        ("sftp://user:secret@host/x", "a password in the study file", None),
        ("s3://${env:PASSWORD}:half${env:PASSWORD}@bucket", "a password in the study file", None),
        ("s3://bucket/run[1]", "cannot be told from a pattern", None),
        ("s3://bucket/*", "cannot be told from a pattern", None),
        ("${env:RELATIVE}", "stands for a relative path", None),
        ("${env:EMPTY}", "stands for a relative path", None),
    ],
)
def test_an_address_that_may_not_be(address: str, said: str, meant: str | None) -> None:
    found = addresses.problem(address)
    assert found is not None and said in found[0] and found[1] == meant
    assert "secret" not in found[0] and "hunter" not in found[0]


def test_a_reference_is_not_told_in_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "S3://token@bucket")
    found = addresses.problem("${env:STORE}/x")
    assert found is not None and found[1] is None and "token" not in found[0]


def test_an_address_is_resolved_where_it_is_used() -> None:
    assert addresses.resolved("${env:STORE}/mine/") == "s3://bucket/hpo/mine"
    assert addresses.resolved("file:///shared/") == "/shared"
    assert addresses.resolved("/") == "/"
    assert not addresses.is_remote(addresses.resolved("file:///shared"))
    with pytest.raises(UnavailableError, match=r"\$\{env:NOT_SET\}.*not set here"):
        addresses.resolved("${env:NOT_SET}/x")


def test_the_folder_of_a_study() -> None:
    assert addresses.root("s3://bucket/hpo/", "x-1") == "s3://bucket/hpo/x-1"
    assert addresses.root("file:///shared", "x-1") == "/shared/x-1"
    assert addresses.root("saved", "x-1") == str(Path.cwd() / "saved" / "x-1")
    assert addresses.root("${env:STORE}", "x-1") == "${env:STORE}/x-1"
    assert addresses.root("/", "x-1") == addresses.root("file:///", "x-1") == "/x-1"


def test_a_password_is_not_shown() -> None:
    address = "sftp://user:${env:PASSWORD}@host/x"
    message = "login to sftp://user:hunter22@host/x failed for 'hunter22'"
    addresses.resolved(address)
    said = addresses.shown(message)
    assert said == "login to sftp://***@host/x failed for '${env:PASSWORD}'"
    assert addresses.shown(address) == "sftp://***@host/x"


def test_a_study_file_is_told_the_place(make_spec: MakeSpec) -> None:
    with pytest.raises(StudyFileError) as caught:
        make_spec(**{"seed: 3": "seed: 3\ncheckpoints: S3://bucket"})
    (problem,) = caught.value.problems
    assert (problem.path, problem.line, problem.column) == ("checkpoints", 5, 1)
    assert "did you mean 's3://bucket'?" in str(caught.value)
    with pytest.raises(StudyFileError, match="a password in the study file") as caught:
        make_spec(**{"seed: 3": "seed: 3\ncheckpoints: sftp://user:hunter22@host/x"})
    assert "sftp://user:********@host/x" in str(caught.value) and "hunter" not in str(caught.value)
    with pytest.raises(StudyFileError, match="NOT_SET is not set"):
        make_spec(**{"seed: 3": "seed: 3\ncheckpoints: '${env:NOT_SET}/x'"})


def test_where_checkpoints_lie_may_change(make_spec: MakeSpec) -> None:
    spec: StudySpec = make_spec(**{"seed: 3": "seed: 3\ncheckpoints: s3://bucket"})
    assert spec.checkpoints == "s3://bucket"
    assert spec.identity() == make_spec().identity()
