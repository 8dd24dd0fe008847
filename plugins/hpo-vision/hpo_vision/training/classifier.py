"""The classifier as Lightning sees it: what a training step and a validation step compute.

A step sees a batch in one or more parts (`hpo_vision.training.slices`), whose gradients add up.

Nothing goes through Lightning's `log`: its bookkeeping costs more than a small model's forward pass, and all that is
wanted is one number per epoch and metric.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from hpo_core import Component
from hpo_vision.training.averaging import Averaged
from hpo_vision.training.inheritance import (
    AVERAGE,
    NETWORK,
    Inherited,
    check_model,
    inherit,
    optimizer_class,
    with_own_loss,
)
from hpo_vision.training.parameter_groups import Grouping
from hpo_vision.training.passes import unrecorded
from hpo_vision.training.scores import Scores
from hpo_vision.training.settings import Setup
from hpo_vision.training.slices import Batch, Slices

Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


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
    """Wraps a network of one logit per class; images are (N, C, H, W) floats, labels (N,) int64.

    The components `optimizer` and `lr_scheduler` are built when Lightning asks for them, after the network is on its
    device; the LR scheduler is given the number of steps in the whole run, however much of it is done. With
    `setup.ema_decay` an average of the network follows it and is what is validated; so it is, from some step on, with
    an LR scheduler that asks for it (`average_from`, see `hpo_core.contracts`). `augment` is given each training batch,
    `scores` the logits of each validation batch. `trial` is a trial's number: a checkpoint carries it, and one of
    another trial is inherited from instead of continued. `halvings` is how often batches are cut in half.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Component,
        lr_scheduler: Component,
        *,
        setup: Setup,
        augment: Augment,
        scores: Scores,
        steps_per_epoch: int,
        trial: int,
        halvings: int = 0,
    ) -> None:
        super().__init__()
        self.format = torch.channels_last if setup.channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.format)
        self.average = None if setup.ema_decay is None else Averaged(self.network, setup.ema_decay)
        self._setup = setup
        self.train_loss, self.val_loss = MeanLoss(), MeanLoss()
        self.scores = scores
        self.last_lr = 0.0
        self.loss: Any = loss  # a module, maybe with methods of `hpo_core.contracts`
        self._augment = augment
        self._passed = False  # this batch has been evaluated before
        self._components = optimizer, lr_scheduler
        self._steps_per_epoch = steps_per_epoch
        self._trial = trial
        self._slices = Slices(halvings, network)
        self._inherited: Inherited | None = None
        self._each_epoch = lr_scheduler.trait("interval", "step") == "epoch"
        self._average_from: int | None = None

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
        grouping = Grouping(self._setup.weight_decay_on, self._setup.layer_decay)
        built: Optimizer = grouping.build(self.network, optimizer.build)
        if getattr(built, "needs_closure", False) and self.trainer.precision == "16-mixed":
            raise ValueError(
                f"the optimizer '{optimizer.name}' evaluates a batch twice, which is not done with scaled gradients: "
                "set precision to 'bf16-mixed' or '32-true'"
            )
        steps = 1 if self._each_epoch else self._steps_per_epoch
        scheduler = lr_scheduler.build(built, self._setup.epochs * steps)
        self._average_from = getattr(scheduler, "average_from", None)
        if self._average_from is not None and self._setup.ema_decay is not None:
            raise ValueError(
                f"the LR scheduler '{lr_scheduler.name}' averages the weights itself: leave out ema_decay"
            )
        if self._inherited is not None:
            self._inherited.into_scheduler(scheduler, steps)
            self._inherited.into_optimizer(built)
        # what Lightning does once an epoch it does after the checkpoint: see `end_epoch`
        return {
            "optimizer": built,
            "lr_scheduler": {
                "scheduler": scheduler,
                "interval": "step",
                "reduce_on_plateau": False,
            },
        }

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Called by Lightning after every optimizer step."""
        if not self._each_epoch:
            scheduler.step()

    def end_epoch(self, metrics: dict[str, float]) -> None:
        """Called once an epoch when it has been validated, before its checkpoint is saved."""
        if not self._each_epoch:
            return
        scheduler: Any = self.trainer.lr_scheduler_configs[0].scheduler
        judges = isinstance(scheduler, ReduceLROnPlateau)
        scheduler.step(*([metrics["val_loss"]] if judges else []))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Called by Lightning: say whose the checkpoint is."""
        checkpoint["trial"] = self._trial
        checkpoint["validated"] = self.validated_prefix
        checkpoint["averaged"] = 0 if self.average is None else self.average.count
        checkpoint["optimizer"] = optimizer_class(self.trainer.optimizers[0])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Called by Lightning before `configure_optimizers`. Raises ValueError when it is of another model."""
        donor = checkpoint["trial"]
        check_model(checkpoint["state_dict"], self.state_dict(), f"the checkpoint of trial {donor}")
        if donor != self._trial:
            self._inherited = inherit(checkpoint, self.average is not None)
            checkpoint["state_dict"] = with_own_loss(checkpoint["state_dict"], self.state_dict())
        elif self._setup.ema_decay is None and checkpoint["validated"] == AVERAGE:
            self.average = Averaged(self.network, None, checkpoint["averaged"])

    def on_train_epoch_start(self) -> None:
        """Forget the epoch before."""
        self.train_loss = MeanLoss()
        if hasattr(self.loss, "set_epoch"):
            self.loss.set_epoch(self.current_epoch)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Called by Lightning when a batch is on the device, once: what evaluates it again sees the same images."""
        if not self.trainer.training:
            return batch
        with torch.no_grad():
            return self._augment(*batch)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Called by Lightning before each training step. Raises HpoError when there is nothing left to halve."""
        self._passed = False
        if batch_idx == 0:
            self._slices.check(batch)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The mean loss of a batch, to be differentiated; of the last part, where there are several.

        The parts before it have been differentiated then, outside of the precision's autocasting, as Lightning does it.
        Called by the optimizer's step through a closure of Lightning's, which clips the gradients: once, or again at
        other weights by an optimizer that is sharpness-aware.
        """
        repeated, self._passed = self._passed, True
        with unrecorded(self.network, self.loss) if repeated else nullcontext():
            return self._gradients(batch, repeated)

    def _gradients(self, batch: Batch, repeated: bool) -> Tensor:
        optimizer = self.trainer.optimizers[0]
        optimizer.zero_grad()
        *parts, last = self._slices.of(batch)
        for part in parts:
            loss = self._share(part, len(batch[1]), repeated)
            with torch.autocast(self.device.type, enabled=False):
                self.trainer.strategy.backward(loss, None)
        self.last_lr = max(group["lr"] for group in optimizer.param_groups)
        return self._share(last, len(batch[1]), repeated)

    def optimizer_zero_grad(self, *_: Any) -> None:
        """Called by Lightning between a step's last forward and backward pass, when it has gradients already."""

    def _share(self, part: Batch, whole: int, repeated: bool) -> Tensor:
        """What a part adds to the mean loss of a batch of `whole` images."""
        logits, labels, size = self._logits(self.network, part), part[1], len(part[1])
        loss: Tensor = self.loss(logits, labels)
        if not repeated:
            self.train_loss.add(loss.detach(), size)
        return loss if size == whole else loss * (size / whole)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Called after the optimizer's step."""
        if hasattr(self.loss, "after_step"):
            self.loss.after_step()
        if self.average is not None:
            self.average.follow(self.network)
        elif self._average_from is not None:
            step = self.current_epoch * self._steps_per_epoch + batch_idx
            if step >= self._average_from:
                self.average = Averaged(self.network, None)

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self.val_loss = MeanLoss()
        self.scores.forget()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Add a batch to the epoch's loss and scores."""
        for part in self._slices.of(batch):
            logits, labels = self._logits(self.validated, part), part[1]
            # cross-entropy whatever is trained with, so that trials with different losses can be compared
            self.val_loss.add(cross_entropy(logits, labels), len(labels))
            self.scores.add(logits, labels)

    def epoch_metrics(self) -> dict[str, float]:
        """The losses of the epoch that has just been validated, and its last learning rate."""
        return {
            "train_loss": self.train_loss.value(),
            "val_loss": self.val_loss.value(),
            "lr": float(self.last_lr),
        }

    def _logits(self, network: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = network(batch[0].contiguous(memory_format=self.format))
        return logits
