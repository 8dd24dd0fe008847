"""Goes through every image of a dataset, once, as it is: before training shuffles or draws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hpo_core import Dataset, Part
from hpo_vision.datasets.batches import IndexedImages
from hpo_vision.datasets.found import PARTS
from hpo_vision.datasets.pictures import fitted


@dataclass(frozen=True)
class Seen:
    """An image: its part, label and name; `picture` before it was fitted, `pixels` (C, H, W) in 0..1 as models get it.

    Where it cannot be read `error` says why, and there are neither.
    """

    part: Part
    label: int
    name: str
    picture: Image.Image | None
    pixels: Tensor | None
    error: str | None = None


def parts_of(dataset: Dataset) -> list[Part]:
    """The parts that a dataset has."""
    found: list[Part] = []
    for part in PARTS:
        try:
            dataset.batches(part)
        except (ValueError, KeyError):
            continue
        found.append(part)
    return found


def images(dataset: Dataset, part: Part) -> Iterator[Seen]:
    """The images of a part; a plugin's own kind of dataset is asked for those of its first epoch."""
    if isinstance(dataset, IndexedImages):
        for index in dataset.parts[part]:
            yield _seen(dataset, part, int(index))
        return
    batches = dataset.batches(part)
    batches.set_epoch(0)
    number = 0
    for pixels, labels in batches:
        for image, label in zip(pixels, labels, strict=True):
            yield _whole(part, int(label), f"{part}, image {number}", (image + 1) / 2)
            number += 1


def _seen(dataset: IndexedImages, part: Part, index: int) -> Seen:
    label = int(dataset.labels[index])
    name = dataset.pictures.name(index) if dataset.pictures else f"{part}, image {index}"
    try:
        if dataset.pictures is None:
            return _whole(part, label, name, (dataset.load(np.array([index]))[0] + 1) / 2)
        picture = dataset.pictures.picture(index)
    except ValueError as error:
        return Seen(part, label, name, None, None, str(error))
    shape = dataset.shape
    pixels = fitted(picture, shape.channels, shape.height).float().div(255)
    return Seen(part, label, name, picture, pixels)


def _whole(part: Part, label: int, name: str, pixels: Tensor) -> Seen:
    return Seen(part, label, name, as_picture(pixels), pixels)


def as_picture(pixels: Tensor) -> Image.Image:
    """Pixels (C, H, W) in 0..1 as a picture, L or RGB."""
    found = pixels.mul(255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(found[:, :, 0] if found.shape[2] == 1 else found)
