"""How many images of each class there are: what losses may know, and what a person should see first."""

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


def known(batches: Batches, classes: int) -> tuple[int, ...] | None:
    """The images of each class where the part says so without being read, otherwise None."""
    return count(batches, classes) if hasattr(batches, "labels") else None


def table(data: Dataset, train: tuple[int, ...] | None, val: tuple[int, ...] | None) -> str:
    """The images of each class in both parts, a line per class, with their sums."""
    width = max(map(len, (*data.classes, "class")))
    unknown = ("?",) * len(data.classes)
    rows = zip(data.classes, train or unknown, val or unknown, strict=True)
    lines = [f"{'class':{width}} {'train':>8} {'val':>8}"]
    lines += [f"{name:{width}} {learned:>8} {judged:>8}" for name, learned, judged in rows]
    sums = [sum(part) if part else "?" for part in (train, val)]
    return "\n".join([*lines, f"{'all':{width}} {sums[0]:>8} {sums[1]:>8}"])
