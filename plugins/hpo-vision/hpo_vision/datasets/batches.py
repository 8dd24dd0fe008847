"""Batches of images that lie in memory, cut without worker processes.

A trial runs in a process of its own beside others that want the same cores. For images that fit into memory, loader
processes would cost more than the slicing they would take over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hpo_core import InputShape, Part
from hpo_vision.datasets.splits import Indices

if TYPE_CHECKING:
    from hpo_vision.datasets.pictures import Pictures

Load = Callable[[Indices], Tensor]


class IndexedBatches:
    """One part of a dataset: implements `hpo_core.Batches` over indices and a function that loads images.

    `load` maps B indices to float images (B, C, H, W). With a `seed` each epoch has another order, derived from the
    seed and the epoch's number; with None the order is that of `indices`. A last batch of a single image is
    left out of an iteration in random order: batch normalization cannot train on it.

    With a `power` p above 0 an epoch is N draws with replacement instead, each of class c with a probability
    proportional to n_c^(1 - p), where n_c of the N images are of the class: with 1 all classes are drawn as often.
    `drawn` has the images of each class in the epoch that was begun last, of `classes` classes.
    """

    def __init__(
        self,
        indices: Indices,
        labels: Tensor,
        load: Load,
        batch_size: int,
        seed: int | None,
        power: float = 0.0,
        classes: int = 0,
    ) -> None:
        self._indices = indices
        self._labels = labels
        self._load = load
        self._batch_size = batch_size
        self._seed = seed
        self._power = power
        self._classes = classes
        self._epoch = 0
        self.drawn: tuple[int, ...] | None = None

    @property
    def labels(self) -> Tensor:
        """The labels (N,) of the part's images, in no order: what there is, not what an epoch draws of it."""
        return self._labels[torch.from_numpy(self._indices)]

    def __len__(self) -> int:
        """The number of batches in one iteration."""
        full, rest = divmod(len(self._indices), self._batch_size)
        smallest = 1 if self._seed is None else 2
        return full + (rest >= smallest)

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that of `epoch` (from 0), and the one after it that of the next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images (B, C, H, W), labels (B,))."""
        order = self._order(self._epoch)
        self.drawn = self.draw(self._epoch)
        self._epoch += 1
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            yield self._load(batch), self._labels[torch.from_numpy(batch)]

    def draw(self, epoch: int) -> tuple[int, ...]:
        """The images of each class in an epoch, without loading them."""
        labels = self._labels[torch.from_numpy(self._order(epoch))]
        return tuple(torch.bincount(labels, minlength=self._classes).tolist())

    def _order(self, epoch: int) -> Indices:
        """The images of an epoch, one after the other, without a last one that is left out."""
        if self._seed is None:
            return self._indices
        source = np.random.default_rng([self._seed, epoch])
        if not self._power:
            order = source.permutation(self._indices)
        else:
            order = source.choice(self._indices, len(self._indices), p=self._chances())
        return order[: len(self) * self._batch_size]

    def _chances(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """How likely each index is to be drawn; they add up to 1."""
        labels = self.labels.numpy()
        weights = np.bincount(labels)[labels] ** -float(self._power)
        return np.asarray(weights / weights.sum())


def normalized(pixels: Tensor) -> Tensor:
    """Pixels from 0..1 to -1..1: what every dataset here gives to models."""
    return pixels.sub(0.5).mul(2.0)


@dataclass(frozen=True)
class IndexedImages:
    """Labelled images behind indices: implements `hpo_core.Dataset`.

    `labels` are int64 (N,), `load` is as in IndexedBatches, `seed` decides the order of training images and
    `sampler_power` how often those of rare classes come up. `pictures` are the images as they were before they were
    fitted, if there are such, and `remarks` what a person should know about how they were read.
    """

    shape: InputShape
    classes: tuple[str, ...]
    parts: Mapping[Part, Indices]
    labels: Tensor
    load: Load
    batch_size: int
    seed: int
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sampler_power: float = 0.0
    pictures: Pictures | None = None
    remarks: tuple[str, ...] = ()

    def batches(self, part: Part) -> IndexedBatches:
        """One part, in random order if it is `train`. Raises ValueError for a part that there is not."""
        if part not in self.parts:
            raise ValueError(f"the dataset has no part '{part}', only: {', '.join(self.parts)}")
        seed, power = (self.seed, self.sampler_power) if part == "train" else (None, 0.0)
        return IndexedBatches(
            self.parts[part],
            self.labels,
            self.load,
            self.batch_size,
            seed,
            power,
            self.shape.classes,
        )
