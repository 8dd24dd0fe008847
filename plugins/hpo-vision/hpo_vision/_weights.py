"""Writes the weights of the best epoch, so that a file under its name is always whole.

safetensors and not pickle: reading a file of weights must not be able to run code. The file is written under a
temporary name in the same folder, synced and renamed; whoever is killed meanwhile leaves the older file in place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_model
from torch import nn

from hpo_core import Goal


class BestWeights:
    """Keeps the best epoch's weights as `best.safetensors` in a folder. Made once per trial."""

    def __init__(self, folder: Path, goal: Goal) -> None:
        self.path = folder / "best.safetensors"
        self._sign = 1.0 if goal == "maximize" else -1.0
        self._best = -math.inf

    def offer(self, model: nn.Module, value: float, metadata: Mapping[str, str]) -> str | None:
        """Write the weights if `value` is better than all before; the path if they were written. NaN never is."""
        score = self._sign * value
        if not score > self._best:
            return None
        write_weights(model, self.path, metadata)
        self._best = score
        return str(self.path)


def write_weights(model: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a model's state as safetensors, whole or not at all. Raises OSError when the disk is full, say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_model(model, str(partial), dict(metadata), force_contiguous=True)
        _sync(partial, os.O_RDWR)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync(path.parent, os.O_RDONLY)  # the name is in the folder


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
