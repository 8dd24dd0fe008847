"""An ONNX model with 8-bit integers instead of floats: weights per channel, activations by what they are on images.

Static quantization in the QDQ format. What ranges activations have is measured on images of the training part, and what
it costs on the validation part: the test part decides nothing. onnxruntime's preparation comes first: without it the
shapes that PyTorch's exporter notes contradict those that quantization infers. (Its dynamic quantization leaves
convolutions slower than they were.)

Activations are unsigned and weights have 7 bits, so that the file does the same on every CPU: without the instructions
called VNNI, products of 8 by 8 bits are added up in 16, which overflow. A ResNet-18 on an AVX2 machine lost 6.3 % of
its accuracy by that, and 0.4 % with 7 bits; signed activations took three times as long there.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from hpo_core import Dataset, Part
from hpo_vision.export.sessions import latencies, run, session

CALIBRATED = 256
"""The images of the training part that ranges are measured on."""

Scaling = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel."""


@dataclass(frozen=True)
class Cost:
    """What a model costs and what it is worth: on the validation part, and for one image on one thread."""

    accuracy: float
    bytes: int
    latency_seconds: float


@dataclass(frozen=True)
class Quantized:
    """What quantization did, judged on `images` of the part val; `calibrated` images were looked at before.

    `simplified_bytes` is the size of what was quantized: onnxruntime's preparation may take much away by itself, such
    as those weights of a convolution that only meet padding.
    """

    before: Cost
    after: Cost
    images: int
    calibrated: int
    simplified_bytes: int
    max_loss: float

    @property
    def loss(self) -> float:
        """The accuracy that is lost; below 0 where there is more."""
        return self.before.accuracy - self.after.accuracy

    @property
    def accepted(self) -> bool:
        """Whether no more is lost than may be."""
        return self.loss <= self.max_loss + 1e-9  # two quotients are subtracted

    def document(self) -> dict[str, Any]:
        """For the manifest."""
        judged = {"part": "val", "accepted": self.accepted, "loss": self.loss}
        return judged | asdict(self)


def write(source: Path, target: Path, dataset: Dataset, scaling: Scaling | None) -> tuple[int, int]:
    """Write the model `source` in 8 bits to `target`; how many images it was calibrated on, and its simplified bytes.

    With `scaling` the model takes pixels of 0..1, and normalizes them itself.
    """
    calibration = _Calibration(dataset, scaling)
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        prepared = Path(scratch, "prepared.onnx")
        quant_pre_process(source, prepared)
        size = prepared.stat().st_size
        quantize_static(
            prepared,
            target,
            calibration,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return calibration.images, size


def judged(
    source: Path,
    target: Path,
    dataset: Dataset,
    scaling: Scaling | None,
    *,
    calibrated: int,
    simplified_bytes: int,
    max_loss: float,
) -> Quantized:
    """What `write` did, by running both files."""
    models = [session(source), session(target)]
    accuracies, images = _accuracies(models, dataset, scaling)
    one = next(_images(dataset, "val", scaling))[0][:1]
    paths = zip((source, target), accuracies, latencies(models, one), strict=True)
    before, after = (Cost(hits, path.stat().st_size, seconds) for path, hits, seconds in paths)
    return Quantized(before, after, images, calibrated, simplified_bytes, max_loss)


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # which has no types
    """The first images of the training part's first epoch, a batch at a time, as onnxruntime asks for them."""

    def __init__(self, dataset: Dataset, scaling: Scaling | None) -> None:
        self.images = 0
        self._batches = _limited(_images(dataset, "train", scaling))

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, or None at the end."""
        batch = next(self._batches, None)
        if batch is None:
            return None
        self.images += len(batch)
        return {"images": batch}


def _limited(batches: Iterator[tuple[Any, Any]]) -> Iterator[Any]:
    """The images of batches, CALIBRATED of them if there are as many."""
    left = CALIBRATED
    for images, _ in batches:
        yield images[:left]
        left -= len(images)
        if left <= 0:
            return


def _accuracies(
    models: list[Any], dataset: Dataset, scaling: Scaling | None
) -> tuple[list[float], int]:
    """How often each model is right on the validation part, and how many images that has."""
    hits, count = [0] * len(models), 0
    for images, labels in _images(dataset, "val", scaling):
        count += len(labels)
        for index, model in enumerate(models):
            hits[index] += int((run(model, images).argmax(1) == labels).sum())
    return [each / count for each in hits], count


def _images(dataset: Dataset, part: Part, scaling: Scaling | None) -> Iterator[tuple[Any, Any]]:
    """Batches of a part as numpy arrays, as the model takes them."""
    batches = dataset.batches(part)
    batches.set_epoch(0)
    for images, labels in batches:
        given = images.numpy()
        if scaling is not None:
            mean, std = (np.array(each, np.float32).reshape(-1, 1, 1) for each in scaling)
            given = given * std + mean
        yield given, labels.numpy()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without onnxruntime's advice, which it gives through the root logger, to do what has been done."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
