"""Trains one trial: builds the parts, hands them to Lightning, and reports after each validation.

The half of `image_classification` that imports torch; called by it, in a worker.
"""

from __future__ import annotations

import gc
import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from hpo_core import Batches, Component, Dataset, Run
from hpo_vision._classifier import Classifier
from hpo_vision._trainer import make_trainer, train
from hpo_vision._weights import BestWeights
from hpo_vision.classification import Device, Precision


@dataclass(frozen=True)
class Setup:
    """The objective's options that are plain values; see `image_classification`."""

    epochs: int
    precision: Precision
    channels_last: bool
    max_grad_norm: float | None
    device: Device

    def accelerator(self) -> str:
        """Lightning's name of the device. Raises nothing: Lightning says when there is no such device."""
        if self.device != "auto":
            return self.device
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    def numbers(self) -> str:
        """Lightning's name of the precision: 16 bits pay off on CUDA only."""
        if self.precision != "auto":
            return self.precision
        if self.accelerator() != "cuda":
            return "32-true"
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        )


class EpochReporter(Callback):
    """Reports each epoch after its weights are safe on disk, and obeys the decision."""

    def __init__(self, run: Run, weights: BestWeights, metadata: dict[str, str]) -> None:
        self._run = run
        self._weights = weights
        self._metadata = metadata

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called by Lightning once per epoch, when both parts have been seen."""
        assert isinstance(pl_module, Classifier)
        epoch = trainer.current_epoch + 1
        metrics = pl_module.epoch_metrics()
        checkpoint = self._save(pl_module, epoch, metrics)
        if self._run.report(epoch, metrics, checkpoint).stop:
            trainer.should_stop = True

    def _save(self, module: Classifier, epoch: int, metrics: dict[str, float]) -> str | None:
        """Weights that gave a NaN are worth nothing, even where the study's own metric is a number."""
        if not all(map(math.isfinite, metrics.values())):
            return None
        metric = self._run.trial.metric
        about = self._metadata | {"epoch": str(epoch), metric: repr(metrics[metric])}
        return self._weights.offer(module.network, metrics[metric], about)


def fit(
    run: Run,
    setup: Setup,
    dataset: Component,
    model: Component,
    optimizer: Component,
    lr_scheduler: Component,
) -> None:
    """Train as `image_classification` says. Everything random comes from the trial's seed."""
    seed_everything(run.trial.seed, verbose=False)
    data: Dataset = dataset.build(run.trial.seed)
    parts = _batches(data, "train"), _batches(data, "val")
    network = model.build(data.shape)
    steps = setup.epochs * len(parts[0])
    classifier = Classifier(
        network, data.shape.classes, optimizer, lr_scheduler, steps, setup.channels_last
    )
    weights = BestWeights(Path(run.trial.directory), run.trial.goal)
    trainer = make_trainer(
        setup.epochs,
        setup.accelerator(),
        setup.numbers(),
        setup.max_grad_norm,
        run.trial.directory,
        EpochReporter(run, weights, _metadata(data, model)),
    )
    try:
        train(trainer, classifier, *parts)
    finally:
        # trainer and module refer to each other: without this a warm worker keeps several trials' weights
        del trainer, classifier, network
        gc.collect()


def _batches(data: Dataset, part: str) -> Batches:
    batches = data.batches(part)  # type: ignore[arg-type]  # "train" or "val"
    if not len(batches):
        raise ValueError(f"the dataset's part '{part}' has no batch")
    return batches


def _metadata(data: Dataset, model: Component) -> dict[str, str]:
    """What is needed to use the weights later; safetensors keeps text only, so the rest is JSON."""
    shape = [data.shape.channels, data.shape.height, data.shape.width]
    return {
        "format": "pt",
        "model": json.dumps({"name": model.name, **model.options}),
        "classes": json.dumps(data.classes),
        "input_shape": json.dumps(shape),
    }
