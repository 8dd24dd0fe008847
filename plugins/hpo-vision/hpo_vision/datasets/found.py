"""Labelled pictures that have been found, on their way to a dataset: what all readers of images here give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hpo_core import InputShape, Part
from hpo_vision.datasets.batches import IndexedImages, Load, normalized
from hpo_vision.datasets.groups import Groups
from hpo_vision.datasets.pictures import Pictures, fitted
from hpo_vision.datasets.splits import Indices

PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class FoundPictures:
    """Pictures with their labels, the classes' names in the order of the labels, and which is in which part.

    `remarks` is what a person should know about how they were found.
    """

    pictures: Pictures
    labels: Sequence[int]
    classes: tuple[str, ...]
    parts: Mapping[Part, Indices]
    remarks: tuple[str, ...] = ()

    def dataset(
        self,
        seed: int,
        *,
        image_size: int,
        batch_size: int,
        channels: int,
        keep_in_memory: bool,
        sampler_power: float = 0.0,
        groups: Groups | None = None,
    ) -> IndexedImages:
        """The pictures as square images of `image_size`, read when they are first asked for."""
        return IndexedImages(
            shape=InputShape(channels, image_size, image_size, len(self.classes)),
            classes=self.classes,
            parts=self.parts,
            labels=torch.as_tensor(self.labels, dtype=torch.int64),
            load=loader(self.pictures, channels, image_size, keep_in_memory),
            batch_size=batch_size,
            seed=seed,
            groups=groups or {},
            sampler_power=sampler_power,
            pictures=self.pictures,
            remarks=self.remarks,
        )


def loader(pictures: Pictures, channels: int, size: int, keep: bool) -> Load:
    """A function from B indices to normalized images (B, channels, size, size); kept ones are bytes."""
    kept: dict[int, Tensor] = {}

    def pixels(index: int) -> Tensor:
        image = kept.get(index)
        if image is None:
            image = fitted(pictures.picture(index), channels, size)
            if keep:
                kept[index] = image
        return image

    def load(indices: Indices) -> Tensor:
        stacked = torch.stack([pixels(int(index)) for index in indices])
        return normalized(stacked.float().div(255))

    return load
