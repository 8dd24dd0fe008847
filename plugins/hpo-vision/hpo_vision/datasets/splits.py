"""Divides labelled images into train, val and test, each with the same share of every class.

The division depends on the labels and the split's own seed alone: all trials of a study, and whoever evaluates its
best model later, see the same parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpo_core import Part

Indices = np.ndarray[Any, np.dtype[np.int64]]


def split(
    labels: Sequence[int], val_fraction: float, test_fraction: float, seed: int
) -> dict[Part, Indices]:
    """Which images, by their index, belong to which part. Called by a dataset's factory.

    Raises ValueError when the fractions leave nothing to train on, or a class has too few images to be divided.
    """
    if val_fraction + test_fraction >= 1:
        raise ValueError(
            f"val_fraction {val_fraction} and test_fraction {test_fraction} leave nothing to train on: "
            f"their sum must be below 1"
        )
    rest, test = halves(labels, test_fraction, seed)
    classes = np.asarray(labels)
    train, val = halves(classes[rest].tolist(), val_fraction / (1 - test_fraction), seed)
    return {"train": np.sort(rest[train]), "val": np.sort(rest[val]), "test": np.sort(test)}


def halves(labels: Sequence[int], fraction: float, seed: int) -> tuple[Indices, Indices]:
    """The images that stay, and those that are taken away, `fraction` of every class. Raises ValueError as `split`."""
    from sklearn.model_selection import train_test_split

    stay, taken = train_test_split(
        np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed
    )
    return stay, taken
