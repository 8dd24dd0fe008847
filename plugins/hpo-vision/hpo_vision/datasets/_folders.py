"""Finds the images of an image folder: the half of `image_folder` that imports torch.

Not by torchvision's ImageFolder, which goes round and round where a link leads back up, and passes over links that lead
nowhere: here such a link is found, and reading it says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hpo_core import Part
from hpo_vision.datasets.found import PARTS, FoundPictures
from hpo_vision.datasets.pictures import Files, shown
from hpo_vision.datasets.splits import Indices, split

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find(path: str, val_fraction: float, test_fraction: float, split_seed: int) -> FoundPictures:
    """The images under `path`, divided as `image_folder` says, and with the errors that it names."""
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"dataset 'image-folder': there is no folder {root.absolute()}")
    if (root / "train").is_dir() and (root / "val").is_dir():
        return _divided(root)
    classes = _scan(root)
    paths, labels = _flat(classes)
    try:
        parts = split(labels, val_fraction, test_fraction, split_seed)
    except ValueError as error:
        raise ValueError(f"dataset 'image-folder': cannot divide {root}: {error}") from error
    return FoundPictures(Files(paths), labels, tuple(classes), parts)


def _divided(root: Path) -> FoundPictures:
    """Folders that are divided already: train, val and perhaps test."""
    paths: list[str] = []
    labels: list[int] = []
    classes: list[str] = []
    parts: dict[Part, Indices] = {}
    for part in PARTS:
        if not (root / part).is_dir():
            continue
        found = _scan(root / part)
        classes = classes or list(found)
        if list(found) != classes:
            raise ValueError(
                f"dataset 'image-folder': {root / part} has the classes {list(found)}, "
                f"but {root / 'train'} has {classes}"
            )
        start = len(paths)
        more_paths, more_labels = _flat(found)
        paths += more_paths
        labels += more_labels
        parts[part] = np.arange(start, len(paths))
    return FoundPictures(Files(paths), labels, tuple(classes), parts)


def _flat(classes: dict[str, list[str]]) -> tuple[list[str], list[int]]:
    """The files of all classes, and their labels."""
    pairs = [(file, label) for label, files in enumerate(classes.values()) for file in files]
    return [file for file, _ in pairs], [label for _, label in pairs]


def _scan(folder: Path) -> dict[str, list[str]]:
    """The images of each class, both in alphabetical order. Hidden folders are no classes."""
    classes: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        if name.startswith(".") or not (folder / name).is_dir():
            continue
        if shown(name) != name:
            raise ValueError(
                f"dataset 'image-folder': the name of the folder {shown(folder / name)} is not UTF-8, "
                f"so no class can be called so"
            )
        classes[name] = list(_images(str(folder / name), frozenset()))
        if not classes[name]:
            raise FileNotFoundError(
                f"dataset 'image-folder': there is no image ({', '.join(EXTENSIONS)}) in {folder / name}"
            )
    if not classes:
        raise FileNotFoundError(
            f"dataset 'image-folder': there is no folder of a class in {folder.absolute()}"
        )
    return classes


def _images(folder: str, above: frozenset[str]) -> Iterator[str]:
    """The files with an image's name in a folder and below it, in alphabetical order."""
    real = os.path.realpath(folder)
    if real in above:
        return  # a link that leads back up: these images have been found
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            yield from _images(path, above | {real})
        elif name.lower().endswith(EXTENSIONS):
            yield path
