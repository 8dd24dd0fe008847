"""Trains one trial of a LEMUR network: hands it its batches epoch by epoch, validates, saves and reports.

The half of `lemur` that imports torch; called by it, in a worker. LEMUR's own trainer is followed in what it gives a
network (`in_shape`, `out_shape`, `prm`, `device`, batches), not in how it judges it: accuracy is that of the part `val`
and never of `test`, and every epoch is reported, however poor.

An epoch's randomness is a function of the trial's seed and the epoch's number, so that a continued trial goes on as if
it had never stopped.
"""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from hpo_core import Batches, Component, Dataset, Part, Run
from hpo_models.lemur._state import Keeper, stateful
from hpo_models.lemur.file import LemurFile


class Epoch:
    """The batches of one epoch (from 0) on the device, with a length: what `learn` is given."""

    def __init__(self, batches: Batches, epoch: int, device: torch.device) -> None:
        self._batches = batches
        self._epoch = epoch
        self._device = device

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self._batches.set_epoch(self._epoch)
        for images, labels in self._batches:
            yield images.to(self._device), labels.to(self._device)


class Rates:
    """The highest learning rate of each optimizer step; `last` is None before there was one.

    It is noted as a step begins: afterwards a schedule has set the next one.
    """

    def __init__(self, net: nn.Module) -> None:
        self.last: float | None = None
        for _, value in stateful(net):
            if isinstance(value, Optimizer):
                value.register_step_pre_hook(self._note)

    def metrics(self) -> dict[str, float]:
        """As a metric, where there is one."""
        return {} if self.last is None else {"lr": self.last}

    def _note(self, optimizer: Optimizer, *called_with: Any) -> None:
        self.last = max(float(group["lr"]) for group in optimizer.param_groups)


def fit(
    run: Run,
    file: LemurFile,
    epochs: int,
    dataset: Component,
    prm: Mapping[str, float],
    device_name: str,
) -> None:
    """Train as `lemur` says. Everything random comes from the trial's seed."""
    try:
        _train(run, file, epochs, dataset, prm, _device(device_name))
    finally:
        # networks and their schedulers refer to each other: a warm worker would keep several trials' weights
        gc.collect()


def _train(
    run: Run,
    file: LemurFile,
    epochs: int,
    dataset: Component,
    prm: Mapping[str, float],
    device: torch.device,
) -> None:
    data: Dataset = dataset.build(run.trial.seed)
    train, val = _batches(data, "train"), _batches(data, "val")
    seed_everything(run.trial.seed)
    batch = _batch_size(train)
    given = {**prm, "batch": batch, "transform": dataset.name, "epoch": epochs, "epoch_max": epochs}
    shape = data.shape
    net: Any = file.network(
        (batch, shape.channels, shape.height, shape.width), (shape.classes,), given, device
    )
    net.to(device)
    net.train_setup(given)
    keeper, rates = Keeper(net), Rates(net)
    if run.restored is not None:
        keeper.restore(run.restored.path, run.trial.number)
    metadata = _metadata(data, file, prm)
    for epoch in range(run.restored.step if run.restored else 0, epochs):
        seed_everything(epoch_seed(run.trial.seed, epoch))
        net.train()
        net.learn(Epoch(train, epoch, device))
        metrics = validated(net, val, shape.classes, device) | rates.metrics()
        _save(run, keeper, epoch + 1, metrics, metadata)
        if run.report(epoch + 1, metrics).stop:
            return


def validated(
    net: nn.Module, batches: Batches, classes: int, device: torch.device
) -> dict[str, float]:
    """Accuracy and cross-entropy on a part, in evaluation mode."""
    accuracy = MulticlassAccuracy(classes, average="micro").to(device)
    loss = MeanMetric(nan_strategy="disable").to(device)
    net.eval()
    with torch.no_grad():
        for images, labels in batches:
            images, labels = images.to(device), labels.to(device)
            logits = net(images).float()
            accuracy.update(logits, labels)
            loss.update(cross_entropy(logits, labels), weight=len(labels))
    return {"val_loss": float(loss.compute()), "val_accuracy": float(accuracy.compute())}


def seed_everything(seed: int) -> None:
    """Seed each generator that a network may draw from."""
    random.seed(seed)
    np.random.seed(seed)  # the global one is what files use
    torch.manual_seed(seed)


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch (from 0) of a trial: below 2**32."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _save(
    run: Run, keeper: Keeper, epoch: int, metrics: dict[str, float], metadata: dict[str, str]
) -> None:
    """Save a checkpoint, unless the weights gave a NaN or the network cannot be continued from one."""
    if not all(map(math.isfinite, metrics.values())):
        return
    try:
        state = keeper.state(run.trial.number)
    except TypeError as error:
        if epoch == 1:
            logging.getLogger(__name__).warning(
                "no checkpoints, the trial begins anew where it is continued: %s", error
            )
        return
    numbers = {name: repr(value) for name, value in metrics.items()}
    with run.checkpoint(epoch) as folder:
        keeper.save(folder, state, metadata | {"epoch": str(epoch)} | numbers)


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _batches(data: Dataset, part: Part) -> Batches:
    batches = data.batches(part)
    if not len(batches):
        raise ValueError(f"the dataset's part '{part}' has no batch")
    return batches


def _batch_size(train: Batches) -> int:
    """How many images the first batch has: the datasets know of batches only."""
    train.set_epoch(0)
    images, _ = next(iter(train))
    return len(images)


def _metadata(data: Dataset, file: LemurFile, prm: Mapping[str, float]) -> dict[str, str]:
    """What is needed to use the weights later; safetensors keeps text only, so the rest is JSON."""
    shape = [data.shape.channels, data.shape.height, data.shape.width]
    code = file.path.read_bytes()
    about = {"file": file.path.name, "sha256": hashlib.sha256(code).hexdigest(), "prm": dict(prm)}
    return {
        "format": "pt",
        "lemur": json.dumps(about),
        "classes": json.dumps(data.classes),
        "input_shape": json.dumps(shape),
    }
