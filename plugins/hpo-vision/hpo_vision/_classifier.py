"""The classifier as Lightning sees it: what a training step and a validation step compute.

A step sees a batch in one or more parts (`hpo_vision._slices`), whose gradients add up.

Nothing goes through Lightning's `log`: its bookkeeping costs more than a small model's forward pass, and all that is
wanted is one number per epoch and metric.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassAccuracy

from hpo_core import Component
from hpo_vision._averaging import Averaged
from hpo_vision._inheritance import (
    AVERAGE,
    NETWORK,
    Inherited,
    check_model,
    inherit,
    optimizer_class,
)
from hpo_vision._slices import Batch, Slices


class MeanLoss:
    """The mean over images of losses that are means over batches, kept on their device until it is asked for.

    Not torchmetrics' MeanMetric: it either looks for NaN, which stalls a GPU at each step and hides the NaN that must
    end the trial, or (1.9, `nan_strategy="disable"`) it forgets the weights.
    """

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._count = 0

    def add(self, loss: Tensor, size: int) -> None:
        """Add a batch of `size` images with their mean loss, a detached scalar."""
        self._sum = self._sum + loss * size
        self._count += size

    def value(self) -> float:
        """The mean so far."""
        return float(self._sum) / self._count


class Classifier(LightningModule):
    """Wraps a network of `classes` logits; images are (N, C, H, W) floats, labels (N,) int64.

    The components `optimizer` and `lr_scheduler` are built when Lightning asks for them, after the network is on its
    device; the LR scheduler is given the number of steps in the whole run, however much of it is done. With
    `ema_decay` an average of the network follows it and is what is validated. `trial` is a trial's number: a checkpoint
    carries it, and one of another trial is inherited from instead of continued. `halvings` is how often batches are cut
    in half.
    """

    def __init__(
        self,
        network: nn.Module,
        classes: int,
        optimizer: Component,
        lr_scheduler: Component,
        *,
        epochs: int,
        steps_per_epoch: int,
        channels_last: bool,
        ema_decay: float | None,
        trial: int,
        halvings: int = 0,
    ) -> None:
        super().__init__()
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.format)
        self.average = None if ema_decay is None else Averaged(self.network, ema_decay)
        self.train_loss, self.val_loss = MeanLoss(), MeanLoss()
        self.val_accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)
        self.last_lr = 0.0
        self._components = optimizer, lr_scheduler
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._trial = trial
        self._slices = Slices(halvings, network)
        self._inherited: Inherited | None = None

    @property
    def validated(self) -> nn.Module:
        """The network that validation measures, and that is worth keeping."""
        return self.network if self.average is None else self.average.network

    @property
    def validated_prefix(self) -> str:
        """What the names of its weights begin with in this module's state."""
        return NETWORK if self.average is None else AVERAGE

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Called by Lightning once; the LR scheduler is stepped after every optimizer step."""
        optimizer, lr_scheduler = self._components
        built = optimizer.build(self.network.parameters())
        scheduler = lr_scheduler.build(built, self._epochs * self._steps_per_epoch)
        if self._inherited is not None:
            self._inherited.into_scheduler(scheduler, self._steps_per_epoch)
            self._inherited.into_optimizer(built)
        return {"optimizer": built, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Called by Lightning: say whose the checkpoint is."""
        checkpoint["trial"] = self._trial
        checkpoint["optimizer"] = optimizer_class(self.trainer.optimizers[0])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Called by Lightning before `configure_optimizers`. Raises ValueError when it is of another model."""
        donor = checkpoint["trial"]
        check_model(checkpoint["state_dict"], self.state_dict(), f"the checkpoint of trial {donor}")
        if donor != self._trial:
            self._inherited = inherit(checkpoint, self.average is not None)

    def on_train_epoch_start(self) -> None:
        """Forget the epoch before."""
        self.train_loss = MeanLoss()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Called by Lightning before each training step. Raises HpoError when there is nothing left to halve."""
        if batch_idx == 0:
            self._slices.check(batch)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The mean loss of a batch, to be differentiated; of the last part, where there are several.

        The parts before it have been differentiated then, outside of the precision's autocasting, as Lightning does it.
        """
        optimizer = self.trainer.optimizers[0]
        optimizer.zero_grad()
        *parts, last = self._slices.of(batch)
        for part in parts:
            loss = self._share(part, len(batch[1]))
            with torch.autocast(self.device.type, enabled=False):
                self.trainer.strategy.backward(loss, None)
        self.last_lr = optimizer.param_groups[0]["lr"]
        return self._share(last, len(batch[1]))

    def optimizer_zero_grad(self, *_: Any) -> None:
        """Called by Lightning between a step's last forward and backward pass, when it has gradients already."""

    def _share(self, part: Batch, whole: int) -> Tensor:
        """What a part adds to the mean loss of a batch of `whole` images."""
        loss, _, size = self._loss(self.network, part)
        self.train_loss.add(loss.detach(), size)
        return loss if size == whole else loss * (size / whole)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Called after the optimizer's step."""
        if self.average is not None:
            self.average.follow(self.network)

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self.val_loss = MeanLoss()
        self.val_accuracy.reset()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Add a batch to the epoch's loss and accuracy."""
        for part in self._slices.of(batch):
            loss, logits, size = self._loss(self.validated, part)
            self.val_loss.add(loss, size)
            self.val_accuracy.update(logits.float(), part[1])

    def epoch_metrics(self) -> dict[str, float]:
        """The metrics of the epoch that has just been validated."""
        return {
            "train_loss": self.train_loss.value(),
            "val_loss": self.val_loss.value(),
            "val_accuracy": float(self.val_accuracy.compute()),
            "lr": float(self.last_lr),
        }

    def _loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, int]:
        images, labels = batch
        logits = network(images.contiguous(memory_format=self.format))
        return cross_entropy(logits, labels), logits, len(labels)
