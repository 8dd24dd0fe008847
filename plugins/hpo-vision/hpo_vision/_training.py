"""Trains one trial: builds the parts, hands them to Lightning, saves and reports after each validation.

The half of `image_classification` that imports torch; called by it, in a worker.

An epoch's randomness is a function of the trial's seed and the epoch's number: the order of the images, and the
generators behind dropout and augmentation, which are seeded anew when an epoch begins. So no checkpoint has to hold
random states, and an epoch gives the same numbers whoever runs it and wherever the run was paused before.
"""

from __future__ import annotations

import gc
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from hpo_core import Batches, Component, Dataset, Run
from hpo_vision._checkpoints import FolderIO
from hpo_vision._classifier import Classifier
from hpo_vision._groups import Grouping
from hpo_vision._labels import labels_of
from hpo_vision._trainer import make_trainer, repeatable, train
from hpo_vision.classification import Device, Precision


@dataclass(frozen=True)
class Setup:
    """The objective's options that are plain values; see `image_classification`."""

    epochs: int
    precision: Precision
    channels_last: bool
    max_grad_norm: float | None
    device: Device
    ema_decay: float | None
    deterministic: bool
    checkpoint_every: int
    halve_on_out_of_memory: bool
    grouping: Grouping

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


class Epochs:
    """A training part whose order is that of `epoch` (from 0), however often Lightning makes an iterator of it."""

    def __init__(self, batches: Batches) -> None:
        self.epoch = 0
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        self._batches.set_epoch(self.epoch)
        yield from self._batches


class EpochReporter(Callback):
    """Seeds each epoch; when it is over, saves its state, reports it and obeys the decision."""

    def __init__(self, run: Run, setup: Setup, order: Epochs, metadata: dict[str, str]) -> None:
        self._run = run
        self._setup = setup
        self._order = order
        self._metadata = metadata

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called by Lightning before the epoch's first batch."""
        self._order.epoch = trainer.current_epoch
        seed_everything(epoch_seed(self._run.trial.seed, trainer.current_epoch), verbose=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Called by Lightning when both parts have been seen: the counters are now those of a finished epoch."""
        assert isinstance(pl_module, Classifier)
        epoch = trainer.current_epoch + 1
        metrics = pl_module.epoch_metrics()
        pl_module.end_epoch(metrics)
        if self._worth_saving(epoch, metrics):
            with self._run.checkpoint(epoch) as folder:
                about = self._about(epoch, metrics)
                # weights_only: not without optimizer and counters; nothing here is a pickle
                trainer.save_checkpoint(folder, weights_only=False, storage_options=about)
        if self._run.report(epoch, metrics).stop:
            trainer.should_stop = True

    def _worth_saving(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Weights that gave a NaN are worth nothing, even where the study's own metric is a number."""
        due = epoch % self._setup.checkpoint_every == 0 or epoch == self._setup.epochs
        return due and all(map(math.isfinite, metrics.values()))

    def _about(self, epoch: int, metrics: dict[str, float]) -> dict[str, str]:
        numbers = {name: repr(value) for name, value in metrics.items()}
        return self._metadata | {"epoch": str(epoch)} | numbers


def fit(
    run: Run,
    setup: Setup,
    dataset: Component,
    model: Component,
    loss: Component,
    optimizer: Component,
    lr_scheduler: Component,
) -> None:
    """Train as `image_classification` says. Everything random comes from the trial's seed."""
    with repeatable(setup.deterministic):
        seed_everything(run.trial.seed, verbose=False)
        data: Dataset = dataset.build(run.trial.seed)
        order, val = Epochs(_batches(data, "train")), _batches(data, "val")
        classifier = Classifier(
            model.build(data.shape),
            data.shape.classes,
            loss.build(labels_of(data, setup.epochs)),
            optimizer,
            lr_scheduler,
            epochs=setup.epochs,
            steps_per_epoch=len(order),
            channels_last=setup.channels_last,
            ema_decay=setup.ema_decay,
            trial=run.trial.number,
            grouping=setup.grouping,
            halvings=_halvings(run, setup),
        )
        trainer = make_trainer(
            setup.epochs,
            setup.accelerator(),
            setup.numbers(),
            setup.max_grad_norm,
            run.trial.directory,
            EpochReporter(run, setup, order, _metadata(data, model)),
            FolderIO(),
        )
        try:
            train(trainer, classifier, order, val, run.restored.path if run.restored else None)
        finally:
            # trainer and module refer to each other: without this a warm worker keeps several trials' weights
            del trainer, classifier
            gc.collect()


def _halvings(run: Run, setup: Setup) -> int:
    """How often this attempt halves its batches: once for each one before it that was lost for want of memory."""
    halvings = run.trial.out_of_memory if setup.halve_on_out_of_memory else 0
    if halvings:
        logging.getLogger(__name__).warning(
            "out of memory before: each batch is cut into %d parts, whose gradients add up",
            2**halvings,
        )
    return halvings


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch (from 0) of a trial: below 2**32."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


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
