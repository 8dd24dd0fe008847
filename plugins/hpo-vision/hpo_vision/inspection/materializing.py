"""Writes any dataset's images as files, at the size and with the channels that models get."""

from __future__ import annotations

import json
from pathlib import Path

from hpo_core import Dataset
from hpo_vision.datasets.walk import Seen, as_picture, images, parts_of
from hpo_vision.procedural.folders import make_once


def write(dataset: Dataset, folder: Path) -> None:
    """Fill a new folder, whole or not at all. Raises ValueError for an image that cannot be read."""
    layout = _rows if any(not _fit(name) for name in dataset.classes) else _folders
    make_once(folder, lambda unfinished: layout(dataset, unfinished))


def _fit(name: str) -> bool:
    """Whether a class can be called so where folders are classes."""
    return bool(name) and not name.startswith(".") and "/" not in name and len(name.encode()) < 256


def _folders(dataset: Dataset, folder: Path) -> None:
    for part in parts_of(dataset):
        for name in dataset.classes:
            (folder / part / name).mkdir(parents=True)
        for number, seen in enumerate(images(dataset, part)):
            _save(seen, folder / part / dataset.classes[seen.label] / f"{number:06}.png")


def _rows(dataset: Dataset, folder: Path) -> None:
    for part in parts_of(dataset):
        (folder / part / "images").mkdir(parents=True)
        with (folder / part / "annotations.jsonl").open("w", encoding="utf-8") as rows:
            for number, seen in enumerate(images(dataset, part)):
                name = f"images/{number:06}.png"
                _save(seen, folder / part / name)
                label = dataset.classes[seen.label]
                rows.write(json.dumps({"image": name, "suffix": label, "metadata": {}}) + "\n")


def _save(seen: Seen, path: Path) -> None:
    if seen.pixels is None:
        raise ValueError(seen.error)
    as_picture(seen.pixels).save(path)
