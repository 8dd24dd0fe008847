"""What a clone takes from its parent's checkpoint, and what it has of its own.

It takes the weights and buffers, the optimizer's tensors (momentum, moments) and the number of finished epochs. Its
hyperparameters are its own: the groups of its optimizer, with its learning rate, and its LR schedule at the same place
of the run. Population based training (Jaderberg et al. 2017) calls this exploit; it and the schedulers like it rely on
the child's rate being the child's from its first step on.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

NETWORK, AVERAGE, LOSS = "network.", "average.network.", "loss."
State = dict[str, Tensor]


@dataclass(frozen=True)
class Inherited:
    """The part of a parent's checkpoint that its child's optimizer and LR scheduler begin with.

    `optimizer` is the class of the parent's, `state` its `state_dict`, `epochs` the number of finished ones.
    """

    optimizer: str
    state: dict[str, Any]
    epochs: int

    def into_optimizer(self, optimizer: Optimizer) -> None:
        """Give an optimizer the tensors of the parent's, and leave it its groups. One of another class stays fresh."""
        if optimizer_class(optimizer) != self.optimizer:
            logging.getLogger(__name__).warning(
                "the parent's optimizer is %s: the clone's %s begins without a state",
                self.optimizer,
                optimizer_class(optimizer),
            )
            return
        groups = optimizer.state_dict()["param_groups"]
        if _sizes(groups) != _sizes(self.state["param_groups"]):
            logging.getLogger(__name__).warning(
                "the parent's parameters are in other groups: the clone's optimizer begins without a state"
            )
            return
        optimizer.load_state_dict({"state": self.state["state"], "param_groups": groups})

    def into_scheduler(self, scheduler: LRScheduler, steps_per_epoch: int) -> None:
        """Take an LR scheduler to where it would be if it had been the one from the start: step by step.

        One that drops on a plateau begins anew: it has not seen the losses.
        """
        if isinstance(scheduler, ReduceLROnPlateau):
            return
        with warnings.catch_warnings():
            # the optimizer has made these steps in another trial
            warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler.step\(\)`")
            for _ in range(self.epochs * steps_per_epoch):
                scheduler.step()


def inherit(checkpoint: dict[str, Any], averaged: bool) -> Inherited:
    """Take out of a parent's checkpoint what Lightning must not restore as it is. `averaged`: the clone has an average.

    Called when the checkpoint has been read and before the optimizer is built.
    """
    [state] = checkpoint["optimizer_states"]
    checkpoint["optimizer_states"], checkpoint["lr_schedulers"] = [], []
    checkpoint["state_dict"] = _with_average(checkpoint["state_dict"], averaged)
    return Inherited(checkpoint["optimizer"], state, checkpoint["epoch"] + 1)


def check_model(found: State, own: State, whose: str) -> None:
    """Raise ValueError, with an example, where a checkpoint's network is not the trial's."""
    theirs = {
        name: tuple(tensor.shape) for name, tensor in found.items() if name.startswith(NETWORK)
    }
    ours = {name: tuple(tensor.shape) for name, tensor in own.items() if name.startswith(NETWORK)}
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            there, here = (_shown(shapes.get(name)) for shapes in (theirs, ours))
            raise ValueError(
                f"the model does not fit {whose}: '{name.removeprefix(NETWORK)}' is {there} there and {here} here"
            )


def optimizer_class(optimizer: Optimizer) -> str:
    """The name of an optimizer's class: the tensors of one mean nothing to another."""
    return f"{type(optimizer).__module__}.{type(optimizer).__qualname__}"


def _with_average(state: State, averaged: bool) -> State:
    """A module's state with an average if there is to be one; it then begins with the weights themselves."""
    had = any(name.startswith(AVERAGE) for name in state)
    if had == averaged:
        return state
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(AVERAGE)}
    if averaged:
        own = {name: tensor for name, tensor in kept.items() if name.startswith(NETWORK)}
        kept |= {AVERAGE + name.removeprefix(NETWORK): tensor for name, tensor in own.items()}
    return kept


def _sizes(groups: list[dict[str, Any]]) -> list[int]:
    """How many parameters each group has: their states are told apart by their places in the groups."""
    return [len(group["params"]) for group in groups]


def with_own_loss(state: State, own: State) -> State:
    """A parent's state with what the clone's own loss begins with: it may be another loss."""
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(LOSS)}
    return kept | {name: tensor for name, tensor in own.items() if name.startswith(LOSS)}


def _shown(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "x".join(map(str, shape)) or "a number"
