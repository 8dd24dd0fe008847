"""Sets of images that are drawn into memory: when they are first asked for, and once in a process.

A worker's trials share them. The part `test` is asked for by no trial, and so it is not drawn for one.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hpo_core import InputShape, Part
from hpo_vision.datasets.batches import IndexedImages, normalized
from hpo_vision.datasets.found import PARTS
from hpo_vision.datasets.splits import Indices
from hpo_vision.procedural.chance import chance
from hpo_vision.procedural.folders import make_once

Draw = Callable[[random.Random, int, Part, int], Image.Image]
"""Draws an image (RGB) with the random numbers, of the class with the label, for the part, of the size."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class DrawnSet:
    """Which images there are: `per_class` of each class in train, val and test."""

    name: str
    classes: tuple[str, ...]
    draw: Draw
    size: int
    seed: int
    per_class: tuple[int, int, int]

    def count(self, part: Part) -> int:
        """How many images of each class a part has."""
        return self.per_class[PARTS.index(part)]

    def image(self, part: Part, label: int, number: int) -> Image.Image:
        """One image; those of a part never depend on how many there are."""
        source = chance(self.name, self.seed, part, self.classes[label], number)
        return self.draw(source, label, part, self.size)

    def labels(self) -> Indices:
        """The labels of all images, part by part and class by class."""
        each = np.arange(len(self.classes))
        return np.concatenate([each.repeat(self.count(part)) for part in PARTS])

    def indices(self) -> dict[Part, Indices]:
        """Where the parts are in `labels`."""
        ends = np.cumsum([len(self.classes) * self.count(part) for part in PARTS])
        return {
            part: np.arange(end - len(self.classes) * self.count(part), end)
            for part, end in zip(PARTS, ends, strict=True)
        }

    def dataset(
        self, batch_size: int, seed: int, groups: Mapping[str, tuple[str, ...]] | None = None
    ) -> IndexedImages:
        """The set for an objective; `seed` shuffles the training part."""
        indices = self.indices()

        def load(wanted: Indices) -> torch.Tensor:
            part = next(part for part in PARTS if wanted[0] <= indices[part][-1])
            found = torch.from_numpy(pixels(self, part)[wanted - indices[part][0]])
            return normalized(found.permute(0, 3, 1, 2).float().div(255))

        return IndexedImages(
            shape=InputShape(3, self.size, self.size, len(self.classes)),
            classes=self.classes,
            parts=indices,
            labels=torch.from_numpy(self.labels()).long(),
            load=load,
            batch_size=batch_size,
            seed=seed,
            groups=groups or {},
        )

    def make(self, folder: Path) -> bool:
        """Write a folder, which is then there whole, unless there is one with files; whether it was written."""
        return make_once(folder, self.write)

    def write(self, folder: Path) -> None:
        """Save all images, without loss, as the dataset `image-folder` reads them: part/class/number.png."""
        for part in PARTS:
            for label, name in enumerate(self.classes):
                (folder / part / name).mkdir(parents=True)
                for number in range(self.count(part)):
                    self.image(part, label, number).save(folder / part / name / f"{number:05}.png")


@functools.lru_cache(maxsize=6)
def pixels(drawn: DrawnSet, part: Part) -> Pixels:
    """All images (N, size, size, 3) of a part, drawn at the first call."""
    return np.stack(
        [
            np.asarray(drawn.image(part, label, number))
            for label in range(len(drawn.classes))
            for number in range(drawn.count(part))
        ]
    )
