"""How many images of each class there are to learn from: what losses may know."""

from __future__ import annotations

import functools

import torch

from hpo_core import Batches, Dataset, Labels


def labels_of(data: Dataset, epochs: int) -> Labels:
    """What a loss is built from. The training part is read only when a loss asks for counts, and then once."""
    classes = data.shape.classes
    return Labels(classes, epochs, functools.cache(lambda: count(data.batches("train"), classes)))


def count(batches: Batches, classes: int) -> tuple[int, ...]:
    """The images of each class in a part: from its attribute `labels` (N,), or else by reading its first epoch."""
    labels = getattr(batches, "labels", None)
    if labels is None:
        batches.set_epoch(0)
        labels = torch.cat([labels for _, labels in batches])
    return tuple(torch.bincount(labels, minlength=classes).tolist())
