"""Finds and reads the images of an image folder: the half of `image_folder` that imports torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.datasets import ImageFolder

from hpo_core import InputShape, Part
from hpo_vision.batches import Load, normalized
from hpo_vision.splits import Indices, split

PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class FoundImages:
    """Files with their labels, the classes' names in the order of the labels, and which file is in which part."""

    samples: list[tuple[str, int]]
    classes: tuple[str, ...]
    parts: dict[Part, Indices]

    def shape(self, channels: int, size: int) -> InputShape:
        """What a model must take and give."""
        return InputShape(channels, size, size, len(self.classes))

    def labels(self) -> Tensor:
        """The label of every file, int64 (N,)."""
        return torch.tensor([label for _, label in self.samples])

    def loader(self, channels: int, size: int, keep: bool) -> Load:
        """A function from B indices to normalized images (B, channels, size, size)."""
        kept: dict[int, Tensor] = {}

        def pixels(index: int) -> Tensor:
            image = kept.get(index)
            if image is None:
                image = read_image(self.samples[index][0], channels, size)
                if keep:
                    kept[index] = image
            return image

        def load(indices: Indices) -> Tensor:
            stacked = torch.stack([pixels(int(index)) for index in indices])
            return normalized(stacked.float().div(255))

        return load


def find(path: str, val_fraction: float, test_fraction: float, split_seed: int) -> FoundImages:
    """The images under `path`, divided as `image_folder` says, and with the errors that it names."""
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"dataset 'image-folder': there is no folder {root.absolute()}")
    if (root / "train").is_dir() and (root / "val").is_dir():
        return _divided(root)
    found = _scan(root)
    labels = [label for _, label in found.samples]
    try:
        parts = split(labels, val_fraction, test_fraction, split_seed)
    except ValueError as error:
        raise ValueError(f"dataset 'image-folder': cannot divide {root}: {error}") from error
    return FoundImages(found.samples, tuple(found.classes), parts)


def _divided(root: Path) -> FoundImages:
    """Folders that are divided already: train, val and perhaps test."""
    samples: list[tuple[str, int]] = []
    classes: list[str] = []
    parts: dict[Part, Indices] = {}
    for part in PARTS:
        if not (root / part).is_dir():
            continue
        found = _scan(root / part)
        classes = classes or found.classes
        if found.classes != classes:
            raise ValueError(
                f"dataset 'image-folder': {root / part} has the classes {found.classes}, "
                f"but {root / 'train'} has {classes}"
            )
        parts[part] = np.arange(len(samples), len(samples) + len(found.samples))
        samples += found.samples
    return FoundImages(samples, tuple(classes), parts)


def _scan(folder: Path) -> ImageFolder:
    try:
        return ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"dataset 'image-folder': {error}") from error


def read_image(path: str, channels: int, size: int) -> Tensor:
    """The image in a file, its centre square resized to (channels, size, size), as bytes.

    Raises ValueError, with the path, when it cannot be read.
    """
    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("L" if channels == 1 else "RGB"), (size, size))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image: {error}") from error
    return torch.from_numpy(np.asarray(square).reshape(size, size, channels).copy()).permute(
        2, 0, 1
    )
