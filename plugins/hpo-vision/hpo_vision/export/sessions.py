"""ONNX models as onnxruntime runs them on the CPU: on one thread, so that latencies compare."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

RUNS = 30
"""How many runs a latency is the median of."""

ERRORS_ONLY = 3


def session(path: Path) -> Any:
    """A model that is ready to run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(model: Any, images: Any) -> Any:
    """Images (N, C, H, W) to logits (N, classes), both as numpy arrays."""
    return model.run(["logits"], {"images": np.ascontiguousarray(images, dtype=np.float32)})[0]


def latencies(models: Sequence[Any], image: Any) -> list[float]:
    """The median seconds that each model takes for one image (1, C, H, W).

    They take turns: what else the machine does then slows all of them.
    """
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(RUNS):
        for model, own in zip(models, seconds, strict=True):
            start = time.perf_counter()
            run(model, image)
            own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in seconds]
