"""Jerseys: the contract on files, the long tail, rows as annotators leave them, folders that are whole or not there."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hpo_vision.procedural import jersey_reading
from hpo_vision.procedural.folders import make_once
from hpo_vision.procedural.jersey_drawing import COLOURS, READABLE
from hpo_vision.procedural.jersey_files import Jerseys
from hpo_vision.procedural.jersey_numbers import NUMBERS, UNKNOWN, counts
from hpo_vision.procedural.jerseys import jerseys

from hpo_core.testing.training import DatasetContract, built

SMALL = 0.01
"""A scale at which each number has the two images that are the least, and few have three."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Jerseys on disk."""
    path = tmp_path_factory.mktemp("drawn") / "jerseys"
    assert Jerseys(0, SMALL).make(path)
    return path


def rows(folder: Path, part: str) -> list[dict[str, Any]]:
    """The rows of a part."""
    lines = (folder / part / "annotations.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


class TestJerseys(DatasetContract):
    component: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def _made(self, folder: Path) -> None:
        type(self).component = {
            "name": "jerseys",
            "path": str(folder),
            "scale": SMALL,
            "image_size": 16,
            "batch_size": 30,
        }

    def test_labels_are_texts_in_their_order(self) -> None:
        """ "" is a class like any other, the first, and "10" comes before "2"."""
        data = built("datasets", self.component, 1)
        assert data.classes == NUMBERS == tuple(sorted(NUMBERS))
        assert len(NUMBERS) == 43 and NUMBERS[:5] == ("", "0", "00", "1", "10")
        assert NUMBERS.index("10") < NUMBERS.index("2")

    def test_what_is_left_out_is_told(self) -> None:
        data = built("datasets", self.component, 1)
        assert any(
            "8 rows with labels" in remark and "'88' (2)" in remark for remark in data.remarks
        )
        assert any("what another had said" in remark for remark in data.remarks)
        assert len(data.parts["test"]) == sum(counts("test", SMALL).values())


def test_the_tail_is_as_long_as_the_model() -> None:
    train = counts("train", 1.0)
    assert (max(train.values()), min(train.values())) == (257, 4)
    ranked = sorted(train.values(), reverse=True)
    assert all(0.8 <= low / high <= 1 for high, low in itertools.pairwise(ranked))
    assert 4 < train[""] < 257, (
        "no number to be read is neither the most usual label nor the rarest"
    )
    half = counts("train", 0.5)
    assert (max(half.values()), min(half.values())) == (128, 2)
    assert counts("val", 1.0) == counts("test", 1.0)
    assert 340 < sum(counts("val", 1.0).values()) < 400


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_rows_are_as_annotators_leave_them(folder: Path, part: str) -> None:
    found = rows(folder, part)
    images = Counter(row["image"] for row in found)
    assert set(images.values()) == {1, 2}, "some images have two rows"
    files = {f"images/{path.name}" for path in (folder / part / "images").iterdir()}
    assert files == set(images)
    labels = Counter({row["image"]: row["suffix"] for row in found}.values())
    unknown = dict.fromkeys(UNKNOWN, 2) if part == "test" else {}
    assert labels == counts(part, SMALL) | unknown
    for row in found:
        assert list(row) == ["image", "suffix", "metadata"]
        assert set(row["metadata"]) | {"border"} == {"jersey_color", "number_color", "border"}


def test_numbers_can_be_told_from_the_cloth(folder: Path) -> None:
    """What is near the cloth's colour has a border of another one."""
    for row in rows(folder, "train"):
        cloth, ink, border = (
            row["metadata"].get(key, "?") for key in ("jersey_color", "number_color", "border")
        )
        if ink is None:
            assert row["suffix"] == "" and border in (None, "?")
            continue
        distance = sum((a - b) ** 2 for a, b in zip(COLOURS[cloth], COLOURS[ink], strict=True))
        assert distance >= READABLE**2 or border is not None


PROBE = """
import itertools, os, signal, sys
from pathlib import Path
from hpo_vision.procedural import jersey_files
path, scale, images = sys.argv[1:]
draw, drawn = jersey_files.crop, itertools.count()
def crop(*given):
    if next(drawn) == int(images):
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(*given)
jersey_files.crop = crop
print(jersey_files.Jerseys(0, float(scale)).make(Path(path)))
"""


def started(path: Path, images: int = -1) -> subprocess.Popen[str]:
    """Another process that makes jerseys, and is killed when it has made so many (-1: it is not)."""
    command = [sys.executable, "-c", PROBE, str(path), str(SMALL), str(images)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def content(folder: Path) -> dict[str, str]:
    """The sha256 of each file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_processes_make_one_folder(folder: Path, tmp_path: Path) -> None:
    """One makes it, the other waits and takes it; and it is to the byte what this process made."""
    both = [started(tmp_path / "jerseys") for _ in range(2)]
    said = [process.communicate(timeout=120)[0].strip() for process in both]
    assert sorted(said) == ["False", "True"]
    assert content(tmp_path / "jerseys") == content(folder)
    assert not (tmp_path / ".jerseys.part").exists()


def test_killed_half_way_it_is_not_there(folder: Path, tmp_path: Path) -> None:
    path, unfinished = tmp_path / "jerseys", tmp_path / ".jerseys.part" / "train" / "images"
    process = started(path, 6)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert not path.exists() and len(list(unfinished.iterdir())) == 6
    assert Jerseys(0, SMALL).make(path)
    assert content(path) == content(folder) and not unfinished.exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_full_disks_and_ctrl_c_leave_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        assert (tmp_path / ".jerseys.lock").exists()
        (folder / "begun").touch()
        raise error

    with pytest.raises(type(error)) as raised:
        make_once(tmp_path / "jerseys", fail)
    assert raised.value is error and not list(tmp_path.iterdir())


def test_a_lock_that_was_taken_away_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who held it has failed; a third process may have locked the next one while we waited for the first."""
    lock, real, locked = tmp_path / ".x.lock", fcntl.flock, []

    def late(file: Any, how: int) -> None:
        if not locked:
            lock.unlink()
        elif len(locked) == 1:
            lock.unlink()
            lock.touch()
        locked.append(how)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert make_once(tmp_path / "x", lambda folder: (folder / "y").touch())
    assert len(locked) == 3 and [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("parent", ["/proc", "/proc/self", "{}/file"])
def test_where_no_folder_can_be(tmp_path: Path, parent: str) -> None:
    """It says so at once, and names what was asked for."""
    (tmp_path / "file").touch()
    folder = Path(parent.format(tmp_path)) / "x"
    with pytest.raises(OSError, match=f"'{folder}'"):
        make_once(folder, Path.mkdir)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_other_jerseys_are_not_taken_for_these(folder: Path, tmp_path: Path) -> None:
    before = content(folder)
    with pytest.raises(ValueError, match=r"jerseys holds .*'scale': 0.01.*, not .*'scale': 0.5"):
        built("datasets", {"name": "jerseys", "path": str(folder), "scale": 0.5}, 1)
    assert content(folder) == before
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ValueError, match="holds something else"):
        built("datasets", {"name": "jerseys", "path": str(tmp_path)}, 1)


def test_their_folder_is_named_after_what_is_in_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    read = jersey_reading.opened

    def opened(which: Jerseys, path: Path, size: int) -> Any:
        asked.append(path)
        return read(which, folder, size)

    with monkeypatch.context() as patched:
        patched.chdir(tmp_path)
        patched.setattr(jersey_reading, "opened", opened)
        built("datasets", {"name": "jerseys", "scale": SMALL}, 1)
    assert asked == [tmp_path / "runs" / "data" / "jerseys-0-0.01"]


def test_trials_share_what_was_read(folder: Path) -> None:
    tree = {"name": "jerseys", "path": str(folder), "scale": SMALL, "image_size": 16}
    first, second = (
        built("datasets", {**tree, "sampler_power": power}, seed)
        for seed, power in ((1, 0.0), (2, 0.5))
    )
    assert first.load is second.load
    assert (first.seed, second.seed, second.sampler_power) == (1, 2, 0.5)


def test_operations_that_change_labels_are_named() -> None:
    changed = jerseys.changed_by({})  # type: ignore[attr-defined]
    assert set(changed) == {"flip", "rotate", "erase"}
