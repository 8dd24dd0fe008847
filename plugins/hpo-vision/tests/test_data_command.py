"""`hpo data`: what it counts is what is there, what it refuses is what is wrong, what it writes reads back the same."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from data_words import app
from drawn_files import annotate, annotated, noise, row, save
from hpo_vision.datasets.walk import parts_of
from hpo_vision.inspection.statistics import statistics_of
from PIL import Image
from recorded import points
from sklearn.datasets import load_sample_image
from typer.testing import CliRunner

from hpo_core import InputShape
from hpo_core.commands import UsageError
from hpo_core.errors import StudyFileError
from hpo_core.testing.training import built

SMALL = "image_size=8"


def hpo(*words: str) -> Any:
    return CliRunner().invoke(app, words)


def document(*words: str) -> Any:
    return json.loads(hpo(*words, "--json").stdout)


def folder(root: Path, counts: dict[str, int], parts: tuple[str, ...] = ("train", "val")) -> Path:
    """Pictures of noise in folders of classes."""
    seed = 0
    for part in parts:
        for name, count in counts.items():
            for number in range(count):
                save(root / part / name, f"{number}.png", seed := seed + 1)
    return root


def test_statistics_are_those_of_the_images(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"cat": 6, "dog": 2})
    found = document("stats", "image-folder", f"path={root}", SMALL)
    train = found["parts"]["train"]
    assert train["classes"] == {"cat": 6, "dog": 2} and train["imbalance"] == 3.0
    assert train["sizes"] == {"smallest": [8, 8], "median": [8, 8], "largest": [8, 8]}
    pixels = (
        np.stack([np.asarray(Image.open(file)) for file in (root / "train").rglob("*.png")]) / 255
    )
    assert np.allclose(train["mean"], pixels.mean((0, 1, 2))) and np.allclose(
        train["std"], pixels.std((0, 1, 2))
    )
    assert found["drawn"] == {"cat": 6, "dog": 2}
    even = document("stats", "image-folder", f"path={root}", SMALL, "sampler_power=1.0")["drawn"]
    assert sum(even.values()) == 8 and even != {"cat": 6, "dog": 2}


def test_statistics_for_people(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"cat": 6, "dog": 2})
    shown = hpo("stats", "image-folder", f"path={root}", "--png", str(tmp_path / "x.png"))
    assert shown.exit_code == 0
    assert (
        "cat          6        6" in shown.stdout
        and "the largest class 3 times the smallest" in shown.stdout
    )
    page = Image.open(tmp_path / "x.png")
    assert page.height == 2 * 66
    first = np.asarray(page.crop((440, 0, 504, 64)))
    assert len(np.unique(first.reshape(-1, 3), axis=0)) == 64  # the 8 x 8 pixels of a picture


def test_a_good_set_is_fine(tmp_path: Path) -> None:
    root = folder(tmp_path, {"cat": 6, "dog": 2})
    shown = hpo("verify", "image-folder", f"path={root}")
    assert shown.exit_code == 0 and "fine, 16 images read" in shown.stdout


def test_every_broken_image_is_named_at_once(tmp_path: Path) -> None:
    root = folder(tmp_path, {"cat": 6, "dog": 4})
    (root / "train/cat/0.png").write_bytes(b"")
    (root / "val/dog/1.png").write_bytes(b"no image")
    (root / "val/dog/2.png").write_bytes(noise_bytes()[:100])
    shown = hpo("verify", "image-folder", f"path={root}")
    assert shown.exit_code == 1
    errors = [line for line in shown.stdout.splitlines() if line.startswith("error: ")]
    assert [error.split(" is not")[0].removeprefix(f"error: {root}/") for error in errors] == [
        "train/cat/0.png",
        "val/dog/1.png",
        "val/dog/2.png",
    ]
    assert "not fine, 20 images read" in shown.stdout


def noise_bytes() -> bytes:
    buffer = io.BytesIO()
    noise(1).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_image_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    root = folder(tmp_path, {"cat": 4, "dog": 4})
    Image.open(root / "train/cat/1.png").save(
        root / "val/dog/again.bmp"
    )  # other bytes, the same pixels
    found = document("verify", "image-folder", f"path={root}")
    assert not found["fine"]
    assert found["errors"] == [
        f"the same image in several parts: train: {root}/train/cat/1.png = val: {root}/val/dog/again.bmp"
        " (labelled 'cat', 'dog')"
    ]


def test_nearly_the_same_is_a_warning(tmp_path: Path) -> None:
    root = folder(tmp_path, {"cat": 4, "dog": 4})
    photo = Image.fromarray(load_sample_image("china.jpg"))
    photo.save(root / "train/cat/photo.png")
    photo.resize((200, 133)).save(root / "val/cat/photo.jpg", quality=60)
    Image.fromarray(load_sample_image("flower.jpg")).save(root / "val/cat/other.png")
    found = document("verify", "image-folder", f"path={root}")
    assert found["fine"] and found["warnings"] == [
        "nearly the same image in several parts, 1 pairs: "
        f"{root}/train/cat/photo.png ~ {root}/val/cat/photo.jpg"
    ]
    assert hpo("verify", "image-folder", f"path={root}", "--strict").exit_code == 1


def test_what_was_left_out_and_what_is_rare_are_warnings(tmp_path: Path) -> None:
    root = annotated(tmp_path, ("1", "2"))
    lines = (root / "test/annotations.jsonl").read_text().splitlines()
    annotate(root / "test", [*lines, row("images/0.png", "77")])
    more = [row(save(root / "train", f"more/{seed}.png", 500 + seed), "1") for seed in range(40)]
    annotate(root / "train", [*(root / "train/annotations.jsonl").read_text().splitlines(), *more])
    found = document("verify", "jsonl", f"path={root}", SMALL)
    assert found["fine"]
    assert [text[:60] for text in found["warnings"]] == [
        "test: 1 image with several labels, counted once for each",
        "test: left out 1 row with labels that train does not have: '"[:60],
        "train: the largest class has 14.3 times the images of the smallest"[:60],
    ]


def test_wrong_annotations_are_reasons_and_no_traceback(tmp_path: Path) -> None:
    root = annotated(tmp_path, ("1", "2"))
    annotate(root / "train", ["nonsense", '{"image": 1}'])
    shown = hpo("verify", "jsonl", f"path={root}")
    assert shown.exit_code == 1
    assert (
        "train/annotations.jsonl:1: no JSON" in shown.stdout
        and "jsonl:2: 'image' must be text" in shown.stdout
    )
    with pytest.raises(UsageError, match="jsonl:1: no JSON"):
        CliRunner().invoke(app, ["stats", "jsonl", f"path={root}"], catch_exceptions=False)
    with pytest.raises(StudyFileError, match="did you mean 'path'"):
        CliRunner().invoke(app, ["verify", "jsonl", f"pat={root}"], catch_exceptions=False)


@pytest.mark.parametrize("channels", [1, 3])
def test_materialized_images_read_back_the_same(tmp_path: Path, channels: int) -> None:
    options = {"image_size": 6, "channels": channels}
    root, to = (
        folder(tmp_path / "set", {"cat": 6, "dog": 3}, ("train", "val", "test")),
        tmp_path / "to",
    )
    given = [f"{key}={value}" for key, value in options.items()]
    shown = hpo("materialize", "image-folder", "--to", str(to), f"path={root}", *given)
    assert shown.exit_code == 0 and shown.stdout == f"{to}: 27 files\n"
    source, again = (
        built("datasets", {"name": "image-folder", "path": str(path), **options}, 1)
        for path in (root, to)
    )
    assert again.classes == source.classes
    for part in ("train", "val", "test"):
        there, here = (dict(images_of(data, part)) for data in (again, source))
        assert there == here
    assert hpo("verify", "image-folder", f"path={to}", SMALL).exit_code == 0


def images_of(data: Any, part: str) -> list[tuple[bytes, int]]:
    return [
        (image.add(1).mul(127.5).round().byte().numpy().tobytes(), int(label))
        for images, labels in data.batches(part)
        for image, label in zip(images, labels, strict=True)
    ]


def test_a_class_that_is_no_folder_becomes_a_row(tmp_path: Path) -> None:
    source = annotated(tmp_path / "source", ("", "T-shirt/top"))
    assert (
        hpo("materialize", "jsonl", "--to", str(tmp_path / "to"), f"path={source}", SMALL).exit_code
        == 0
    )
    again = built("datasets", {"name": "jsonl", "path": str(tmp_path / "to"), "image_size": 8}, 1)
    data = built("datasets", {"name": "jsonl", "path": str(source), "image_size": 8}, 1)
    assert again.classes == ("", "T-shirt/top")
    assert all(
        dict(images_of(again, part)) == dict(images_of(data, part))
        for part in ("train", "val", "test")
    )


def test_a_changed_file_is_found_by_the_manifest(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", {"cat": 4, "dog": 4})
    to = tmp_path / "to"
    hpo("materialize", "image-folder", "--to", str(to), f"path={source}", SMALL)
    files = sorted(to.rglob("*.png"))
    noise(77).save(files[0])
    files[1].unlink()
    noise(78).save(to / "train/cat/new.png")
    shown = hpo("verify", "image-folder", f"path={to}")
    assert shown.exit_code == 1
    for file, what in (
        (files[0], "has changed"),
        (files[1], "is missing"),
        (to / "train/cat/new.png", "is not in it"),
    ):
        assert f"{file.relative_to(to)} {what}" in shown.stdout


def test_materializing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", {"cat": 4, "dog": 4})
    (source / "val/dog/3.png").write_bytes(b"")
    to = tmp_path / "to"
    with pytest.raises(UsageError, match=r"dog/3\.png is not a readable image"):
        CliRunner().invoke(
            app,
            ["materialize", "image-folder", "--to", str(to), f"path={source}"],
            catch_exceptions=False,
        )
    assert not to.exists() and not list(tmp_path.rglob("*.part"))
    (source / "val/dog/3.png").unlink()
    (to / "mine").mkdir(parents=True)
    with pytest.raises(UsageError, match="is there already"):
        CliRunner().invoke(
            app,
            ["materialize", "image-folder", "--to", str(to), f"path={source}"],
            catch_exceptions=False,
        )
    assert [path.name for path in to.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["digits", "logos"])
def test_where_nothing_can_be_written(name: str) -> None:
    """Whether the dataset writes its files itself or not."""
    with pytest.raises(UsageError, match=r"^cannot write /proc/new: No such file or directory$"):
        CliRunner().invoke(app, ["materialize", name, "--to", "/proc/new"], catch_exceptions=False)


def test_a_set_that_can_write_itself_does(tmp_path: Path) -> None:
    """The drawn logos are saved by their own factory, with a manifest of ours."""
    few = [f"{part}_per_class=2" for part in ("train", "val", "test")]
    to = tmp_path / "logos"
    assert hpo("materialize", "logos", "--to", str(to), "image_size=16", *few).exit_code == 0
    told = json.loads((to / "manifest.json").read_text())
    assert told["dataset"] == "logos" and told["options"]["image_size"] == 16
    assert len([name for name in told["files"] if name.endswith(".png")]) == 24


class Foreign:
    """A dataset of another plugin: batches, and nothing else that is known of it."""

    shape = InputShape(1, 2, 2, 2)
    classes = ("no", "yes")
    groups: ClassVar[dict[str, tuple[str, ...]]] = {}

    def batches(self, part: str) -> Any:
        if part == "test":
            raise ValueError("no part 'test'")
        return Once(0 if part == "train" else 100)


class Once:
    """Four images in two batches."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Any:
        for batch in range(2):
            numbers = torch.arange(2) + 2 * batch + self.base
            yield (numbers / 127.5 - 1).reshape(2, 1, 1, 1).expand(2, 1, 2, 2), torch.tensor([0, 1])


def test_datasets_of_others_have_statistics_too() -> None:
    found = statistics_of(Foreign())  # type: ignore[arg-type]  # a plugin's, without types
    assert {part: each.counts for part, each in found.parts.items()} == {
        "train": [2, 2],
        "val": [2, 2],
    }
    assert found.parts["train"].moments.mean() == pytest.approx([1.5 / 255])
    assert not found.errors() and found.drawn is None


def test_parts_and_classes_that_are_missing_are_errors() -> None:
    data = points(0)
    assert parts_of(data) == ["train", "val"]
    lacking = type(data)(
        **{**vars(data), "classes": ("no", "yes", "perhaps"), "shape": InputShape(1, 1, 1, 3)}
    )
    assert "there is no image of class 'perhaps' to train on" in statistics_of(lacking).errors()
    empty = type(data)(**{**vars(data), "parts": {"train": data.parts["train"]}})
    assert "the part val has no image" in statistics_of(empty).errors()
