"""What a dataset is like: how many images of which class, how large, how bright, what is there twice or broken.

Every image is read once. `hpo data stats` prints what is found, `hpo data verify` judges it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor

from hpo_core import Dataset, Part
from hpo_vision.datasets.batches import IndexedBatches
from hpo_vision.datasets.walk import Seen, images, parts_of
from hpo_vision.inspection.likeness import Likenesses, described

SKEWED = 10.0
"""From how many times as many images of one class as of another on a person should know."""


@dataclass
class Moments:
    """Mean and standard deviation of each channel, over all pixels of all images, in 0..1."""

    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    squares: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))

    def add(self, pixels: Tensor) -> None:
        """Take an image (C, H, W) into account."""
        flat = pixels.double().flatten(1)
        self.count += flat.shape[1]
        self.total = self.total + flat.sum(1)
        self.squares = self.squares + flat.square().sum(1)

    def mean(self) -> list[float]:
        """Of each channel; empty before the first image."""
        return (self.total / self.count).tolist() if self.count else []

    def deviation(self) -> list[float]:
        """Of each channel; empty before the first image."""
        if not self.count:
            return []
        variance = self.squares / self.count - (self.total / self.count).square()
        return variance.clamp(min=0).sqrt().tolist()


@dataclass
class PartStatistics:
    """One part. `counts` are the images of each class, broken ones included."""

    counts: list[int]
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    moments: Moments = field(default_factory=Moments)
    broken: list[str] = field(default_factory=list)

    def add(self, seen: Seen) -> None:
        """Take an image into account."""
        self.counts[seen.label] += 1
        if seen.error is not None:
            self.broken.append(seen.error)
        if seen.picture is not None and seen.pixels is not None:
            self.sizes[seen.picture.size] += 1
            self.moments.add(seen.pixels)

    def imbalance(self) -> float | None:
        """How many times as many images the largest class has as the smallest that has any; None without images."""
        some = [count for count in self.counts if count]
        return max(some) / min(some) if some else None

    def document(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """As JSON has it; sizes are width and height."""
        widths, heights = ([size[axis] for size in self.sizes.elements()] for axis in (0, 1))
        sizes = {
            name: [what(widths), what(heights)] if widths else None
            for name, what in (("smallest", min), ("median", median), ("largest", max))
        }
        return {
            "images": sum(self.counts),
            "classes": dict(zip(classes, self.counts, strict=True)),
            "imbalance": self.imbalance(),
            "sizes": sizes,
            "mean": self.moments.mean(),
            "std": self.moments.deviation(),
            "unreadable": self.broken,
        }


@dataclass
class Statistics:
    """All of a dataset. `drawn` is what an epoch of training draws of each class, where the dataset says it."""

    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    parts: dict[Part, PartStatistics]
    likenesses: Likenesses
    remarks: tuple[str, ...]
    drawn: list[int] | None

    def leaks(self) -> list[str]:
        """Images with the same pixels in different parts."""
        return self._same(lambda parts: parts > 1)

    def repeated(self) -> list[str]:
        """Images with the same pixels in one part."""
        return self._same(lambda parts: parts == 1)

    def _same(self, wanted: Any) -> list[str]:
        names = dict(enumerate(self.classes))
        return [
            described(group, names)
            for group in self.likenesses.same()
            if wanted(len({each.part for each in group}))
        ]

    def alike(self) -> list[str]:
        """Images of different parts that look nearly the same."""
        return [f"{one} ~ {other}" for one, other in self.likenesses.alike()]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "classes": self.classes,
            "groups": self.groups,
            "parts": {part: found.document(self.classes) for part, found in self.parts.items()},
            "same_in_several_parts": self.leaks(),
            "same_in_one_part": self.repeated(),
            "alike_in_several_parts": self.alike(),
            "drawn": self.drawn and dict(zip(self.classes, self.drawn, strict=True)),
            "remarks": self.remarks,
        }

    def errors(self) -> list[str]:
        """Why the dataset is not to be trusted: broken images, leaks between parts, nothing to learn a class from."""
        found = [error for part in self.parts.values() for error in part.broken]
        found += [f"the same image in several parts: {leak}" for leak in self.leaks()]
        for name in ("train", "val"):
            if name not in self.parts or not sum(self.parts[name].counts):
                found.append(f"the part {name} has no image")
        train = self.parts.get("train")
        missing = [] if train is None else _without(self.classes, train.counts)
        return found + [f"there is no image of class '{name}' to train on" for name in missing]

    def warnings(self) -> list[str]:
        """What a person should know, and may be as it is meant."""
        found = [*self.remarks, *(f"the same image twice: {each}" for each in self.repeated())]
        alike = self.alike()
        if alike:
            some = "; ".join(alike[:3]) + ("; ..." if len(alike) > 3 else "")
            found.append(f"nearly the same image in several parts, {len(alike)} pairs: {some}")
        for part, each in self.parts.items():
            imbalance = each.imbalance()
            if imbalance and imbalance >= SKEWED:
                found.append(
                    f"{part}: the largest class has {imbalance:.3g} times the images of the smallest"
                )
            if part != "train":
                found += [
                    f"{part}: no image of class '{name}'"
                    for name in _without(self.classes, each.counts)
                ]
        return found


def _without(classes: tuple[str, ...], counts: list[int]) -> list[str]:
    return [name for name, count in zip(classes, counts, strict=True) if not count]


def statistics_of(dataset: Dataset) -> Statistics:
    """Read every image of every part, `test` included: nothing is learnt from it."""
    likenesses = Likenesses()
    parts: dict[Part, PartStatistics] = {}
    for part in parts_of(dataset):
        parts[part] = PartStatistics([0] * len(dataset.classes))
        for seen in images(dataset, part):
            parts[part].add(seen)
            likenesses.add(seen)
    remarks = tuple(getattr(dataset, "remarks", ()))
    drawn = _drawn(dataset)
    return Statistics(dataset.classes, dataset.groups, parts, likenesses, remarks, drawn)


def _drawn(dataset: Dataset) -> list[int] | None:
    """What the first epoch draws, without reading images."""
    batches = dataset.batches("train")
    if not isinstance(batches, IndexedBatches):
        return None
    return list(batches.draw(0))
