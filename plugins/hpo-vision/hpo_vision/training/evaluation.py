"""How a model does on the part `test`: what is recorded with a version when it is registered.

The numbers are of the network as anybody loads it from the version's files, in 32 bits and with algorithms that give
the same each time, so that the same files give the same accuracy again, on the same device. Images pass in batches of
the dataset's own size, but for the latency, which is that of one image alone.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_calibration_error

from hpo_core import ClassReport, Dataset, Evaluation, Part
from hpo_vision.loading import dataset_of, described, network_of
from hpo_vision.training.labels import known
from hpo_vision.training.machine import accelerator, repeatable
from hpo_vision.training.scores import MOST_CLASSES, Scores

BINS = 15
"""Of the calibration error (Guo et al. 2017): ranges of confidence, each compared with how often it is right."""

TIMED, UNTIMED = 30, 3
"""Images whose latency is measured, one by one, and how many go before them: the first ones pay for what is set up."""


def measured(folder: Path, config: Mapping[str, Any], seed: int) -> Evaluation:
    """Measure the model in `folder` on the test part of the dataset in `config`.

    Raises UsageError when they do not go together, and ValueError when there is no test part.
    """
    about = described(folder)
    data = dataset_of(config, about.classes, seed)
    device = torch.device(accelerator(config["device"]))
    network = network_of(about).to(device)
    with repeatable(True), torch.inference_mode():
        logits, labels, digest = _outputs(network, data, device)
        seconds = _latency(network, data, device)
    return Evaluation(
        n=len(labels),
        metrics=_metrics(logits, labels) | {"latency_seconds": seconds},
        classes=_scored(logits, labels, data),
        data={"test_sha256": digest, "images": _images(data)},
    )


def _outputs(network: nn.Module, data: Dataset, device: torch.device) -> tuple[Tensor, Tensor, str]:
    """The logits (N, classes) and labels (N,) of the test part, and the sha256 of its images and labels."""
    logits, every, digest = [], [], hashlib.sha256()
    for images, labels in data.batches("test"):
        for tensor in (images, labels):
            digest.update(tensor.contiguous().numpy())
        logits.append(network(images.to(device)).float().cpu())
        every.append(labels)
    if not every:
        raise ValueError("the dataset's part 'test' has no images")
    return torch.cat(logits), torch.cat(every), digest.hexdigest()


def _metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    right = logits.argmax(1) == labels
    error: Any = multiclass_calibration_error(
        logits.softmax(1), labels, num_classes=logits.shape[1], n_bins=BINS, validate_args=False
    )
    return {
        "accuracy": float(right.sum()) / len(labels),
        "log_loss": float(cross_entropy(logits, labels)),
        "ece": float(error),
    }


def _scored(logits: Tensor, labels: Tensor, data: Dataset) -> ClassReport | None:
    scores = Scores(data.shape.classes, per_class=data.shape.classes <= MOST_CLASSES)
    scores.add(logits, labels)
    return scores.scored().report(data)


def _latency(network: nn.Module, data: Dataset, device: torch.device) -> float:
    """The median time of one image through the network, in seconds."""
    images, _ = next(iter(data.batches("test")))
    single = images[:1].to(device)
    taken = []
    for _ in range(UNTIMED + TIMED):
        begin = time.perf_counter()
        network(single)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[UNTIMED:])


def _images(data: Dataset) -> dict[str, Any]:
    """How many images of each class each part has, where the dataset counts them."""
    counts = {part: known(data.batches(part), data.shape.classes) for part in get_args(Part)}
    return {
        part: dict(zip(data.classes, found, strict=True)) for part, found in counts.items() if found
    }
