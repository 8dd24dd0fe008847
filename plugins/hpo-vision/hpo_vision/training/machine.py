"""What a model runs on, and how it does so the same each time. Without Lightning, whose import takes seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from hpo_vision.training.settings import Device


def accelerator(device: Device) -> str:
    """Lightning's name of the device. Raises nothing: Lightning says when there is no such device."""
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """While this lasts, and if `wanted`, torch takes algorithms that give the same numbers each time.

    Where it has none it warns, naming the operation, and goes on. The settings are the process's, and an executor may
    run the trial in its own: they are put back.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    filling: Any = torch.utils.deterministic  # a property of the module
    fill = filling.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
        torch.use_deterministic_algorithms(True, warn_only=True)
        filling.fill_uninitialized_memory = False  # finds bugs, and costs time
        torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        filling.fill_uninitialized_memory = fill
        torch.backends.cudnn.benchmark = benchmark
