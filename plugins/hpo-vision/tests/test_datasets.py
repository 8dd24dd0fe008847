"""Datasets: the contract on real digits and on images that the test draws, the split, and errors that help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hpo_vision.datasets.batches import IndexedBatches
from hpo_vision.datasets.splits import split
from PIL import Image

from hpo_core.testing.training import DatasetContract, built

Draw = Callable[..., Path]


def draw(folder: Path, classes: tuple[str, ...] = ("cat", "10", "2"), each: int = 6) -> Path:
    """Distinct grey images in one folder per class, brighter from class to class."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            image = Image.new("RGB", (12, 8), (number * 80 + index,) * 3)
            image.save(folder / name / f"{index}.png")
    return folder


class TestDigits(DatasetContract):
    component: ClassVar = {"name": "digits", "image_size": 8}

    def test_fractions_and_classes_are_kept(self) -> None:
        data = built("datasets", {"name": "digits", "val_fraction": 0.2, "test_fraction": 0.1}, 1)
        labels = {
            part: torch.cat([labels for _, labels in data.batches(part)])
            for part in ("train", "val", "test")
        }
        assert {part: len(found) for part, found in labels.items()} == {
            "train": 1257,
            "val": 360,
            "test": 180,
        }
        assert int(labels["val"].bincount().min()) >= 34

    def test_images_are_what_they_show(self) -> None:
        """Label and image stay together: a nearest class mean knows most digits."""
        data = built("datasets", self.component, 1)
        images, labels = (torch.cat(parts) for parts in zip(*data.batches("train"), strict=True))
        means = torch.stack([images[labels == digit].mean(0) for digit in range(10)])
        seen, truth = (torch.cat(parts) for parts in zip(*data.batches("val"), strict=True))
        nearest = torch.cdist(seen.flatten(1), means.flatten(1)).argmin(1)
        assert (nearest == truth).float().mean() > 0.85


class TestGreyDigits(DatasetContract):
    component: ClassVar = {"name": "digits", "image_size": 5, "channels": 1, "batch_size": 32}


class TestImageFolder(DatasetContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        path = str(draw(tmp_path / "images"))
        type(self).component = {
            "name": "image-folder",
            "path": path,
            "image_size": 4,
            "batch_size": 4,
            "val_fraction": 0.34,
            "test_fraction": 0.17,
        }

    def test_labels_are_alphabetical(self) -> None:
        data = built("datasets", self.component, 1)
        assert data.classes == ("10", "2", "cat")
        for images, labels in data.batches("train"):
            grey = ((images[:, 0, 0, 0] + 1) * 127.5).round().int()
            # drawn in the order cat, 10, 2
            assert [("cat", "10", "2")[value // 80] for value in grey] == [
                data.classes[label] for label in labels
            ]


class TestDividedImageFolder(DatasetContract):
    parts = ("train", "val")
    component: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        draw(tmp_path / "train", each=5)
        for number, name in enumerate(("cat", "10", "2")):
            (tmp_path / "val" / name).mkdir(parents=True)
            Image.new("L", (5, 5), number + 200).save(tmp_path / "val" / name / "0.jpg")
        type(self).component = {
            "name": "image-folder",
            "path": str(tmp_path),
            "channels": 1,
            "image_size": 6,
            "batch_size": 7,
            "keep_in_memory": False,
        }

    def test_a_missing_part_is_named(self) -> None:
        with pytest.raises(ValueError, match="no part 'test', only: train, val"):
            built("datasets", self.component, 1).batches("test")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        built("datasets", {"name": "image-folder", "path": str(tmp_path / "nowhere")}, 1)


def test_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="dataset 'image-folder'"):
        built("datasets", {"name": "image-folder", "path": str(tmp_path)}, 1)


def test_too_few_images_to_divide_is_said(tmp_path: Path) -> None:
    path = str(draw(tmp_path / "images", each=1))
    with pytest.raises(ValueError, match="cannot divide"):
        built("datasets", {"name": "image-folder", "path": path}, 1)


def test_parts_of_other_classes_are_refused(tmp_path: Path) -> None:
    draw(tmp_path / "train")
    draw(tmp_path / "val", classes=("cat", "dog"))
    with pytest.raises(ValueError, match=r"val has the classes \['cat', 'dog'\]"):
        built("datasets", {"name": "image-folder", "path": str(tmp_path)}, 1)


@pytest.mark.parametrize("damage", ["text", "truncated"])
def test_unreadable_image_is_named(tmp_path: Path, damage: str) -> None:
    draw(tmp_path / "train")
    draw(tmp_path / "val")
    broken = tmp_path / "val" / "cat" / "3.png"
    content = broken.read_bytes()
    broken.write_bytes(b"no image" if damage == "text" else content[: len(content) // 2])
    data = built("datasets", {"name": "image-folder", "path": str(tmp_path), "image_size": 4}, 1)
    with pytest.raises(ValueError, match=r"cat/3\.png is not a readable image"):
        list(data.batches("val"))


def test_last_batch_of_one_is_left_out_of_training_only() -> None:
    indices, labels = np.arange(9), torch.arange(9)
    for seed, sizes in ((1, [4, 4]), (None, [4, 4, 1])):
        batches = IndexedBatches(indices, labels, lambda found: torch.zeros(len(found)), 4, seed)
        assert [len(found) for _, found in batches] == sizes and len(batches) == len(sizes)


def test_split_depends_on_its_seed_alone() -> None:
    labels = [0, 1] * 50
    first, again, other = (split(labels, 0.2, 0.2, seed) for seed in (0, 0, 1))
    assert all((first[part] == again[part]).all() for part in first)
    assert set(first["test"]) != set(other["test"])


def test_fractions_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="leave nothing to train on"):
        split([0, 1] * 10, 0.5, 0.5, 0)
