"""Registering, tagging, copying and restoring are killed at every durable step: nothing half done is ever seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from forking import Forks, Ran
from forking import forks as forks
from test_datasets_files import fill

from hpo_core import faults
from hpo_core.datasets.datasets import Datasets

KILLED = -9

OF_VERSIONS = ("dataset.publish", "dataset.insert", "dataset.registered")
OF_TAGS = ("dataset.change", "dataset.changed")
OF_COPIES = ("dataset.object", "dataset.copied")
OF_FOLDERS = ("dataset.restore",)


def here_and(inside: str, points: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each point on SQLite, and the one inside of a transaction on PostgreSQL."""
    return [*(("sqlite", point) for point in points), ("postgres", inside)]


@dataclass(frozen=True)
class Lab:
    """A dataset of two versions whose first one is tagged and copied, and the files of a third."""

    forks: Forks
    folder: Path
    datasets: Datasets

    def data(self, *words: str, fault: str = "") -> Ran:
        """`hpo data WORDS`, killed at a point unless it is empty."""
        environment = {"HPO_FAULT": f"{fault}:kill"} if fault else {}
        command = ("data", *words, "--storage", self.datasets.storage)
        return self.forks.hpo(*command, folder=self.folder, **environment)

    def check(self) -> None:
        """What must hold whatever was killed."""
        assert self.datasets.get("pets@clean").version == 1
        for version in self.datasets.versions("pets"):
            assert self.datasets.statistics(version.label).files == version.files
        assert not [path for path in self.folder.rglob("*.part")]
        for path in self.folder.rglob("objects/*/*"):
            assert path.stat().st_size > 0

    def leftovers(self) -> list[Path]:
        """Folders of drafts that nobody has cleared away."""
        return [path for path in self.folder.rglob(".part-*")]


@pytest.fixture
def lab(
    forks: Forks, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    """On SQLite and on PostgreSQL."""
    monkeypatch.chdir(tmp_path)
    datasets = Datasets.open(storage)
    data = fill(tmp_path / "data", a="1", b="2", c="3")
    datasets.create("pets", str(data))
    datasets.tag("pets", "clean")
    datasets.snapshot("pets")
    (data / "c").write_text("4")
    (data / "d").write_text("5")
    datasets.create("pets", str(data))
    (data / "a").write_text("6")
    yield Lab(forks, tmp_path, datasets)
    datasets.engine.dispose()


def test_every_point_of_datasets_is_one_of_these() -> None:
    known = {point for point in faults.POINTS if point.startswith("dataset.")}
    assert known == {*OF_VERSIONS, *OF_TAGS, *OF_COPIES, *OF_FOLDERS}


@pytest.mark.parametrize(
    "storage, point", here_and("dataset.insert", OF_VERSIONS), indirect=["storage"]
)
def test_a_kill_of_a_registration(point: str, lab: Lab) -> None:
    words = ("register", "pets", "data")
    assert lab.data(*words, fault=f"{point}:1").code == KILLED
    lab.check()
    there = len(lab.datasets.versions("pets"))
    assert there == (3 if point == "dataset.registered" else 2)
    again = lab.data(*words)
    assert again.code == 0 and again.out.startswith("pets@3"), again
    assert [each.version for each in lab.datasets.versions("pets")] == [1, 2, 3]
    assert lab.datasets.verify("pets@3").none
    (lab.folder / "data/a").write_text("7")
    assert lab.data(*words).out.startswith("pets@4")
    assert lab.leftovers() == []


@pytest.mark.parametrize(
    "storage, point", here_and("dataset.change", OF_TAGS), indirect=["storage"]
)
def test_a_kill_of_a_tag_and_of_a_deletion(point: str, lab: Lab) -> None:
    commands: list[tuple[str, ...]] = [("tag", "pets@2", "new"), ("delete", "pets@2", "--force")]
    for words in commands:
        before = lab.datasets.versions("pets"), lab.datasets.tags("pets")
        assert lab.data(*words, fault=f"{point}:1").code == KILLED
        lab.check()
        after = lab.datasets.versions("pets"), lab.datasets.tags("pets")
        assert (after == before) == (point == "dataset.change")
        again = lab.data(*words)
        assert again.code == (2 if words[0] == "delete" and after != before else 0), again
    assert [each.version for each in lab.datasets.versions("pets")] == [1]


@pytest.mark.parametrize("storage", ["sqlite"], indirect=True)
@pytest.mark.parametrize("point", [*OF_COPIES, "dataset.object:2"])
def test_a_kill_of_a_copy(point: str, lab: Lab) -> None:
    (lab.folder / "data/a").write_text("1")
    fault = point if point.count(":") else f"{point}:1"
    assert lab.data("snapshot", "pets", fault=fault).code == KILLED
    lab.check()
    assert lab.datasets.snapshots("pets@2") == []
    assert lab.data("snapshot", "pets").code == 0
    assert lab.data("restore", "pets", "to").code == 0
    assert lab.datasets.verify("pets@2", str(lab.folder / "to")).none
    assert lab.leftovers() == []


@pytest.mark.parametrize("storage", ["sqlite"], indirect=True)
@pytest.mark.parametrize("point", OF_FOLDERS)
def test_a_kill_of_a_restoration(point: str, lab: Lab) -> None:
    assert lab.data("restore", "pets@1", "to", fault=f"{point}:1").code == KILLED
    lab.check()
    assert not (lab.folder / "to").exists() and len(lab.leftovers()) == 1
    assert lab.data("restore", "pets@1", "to").code == 0
    assert lab.datasets.verify("pets@1", str(lab.folder / "to")).none
    assert lab.leftovers() == []
