"""The state of a LEMUR network in a checkpoint, and how a trial or its clone takes it up.

====================  ===========================================================================================
model.safetensors     the network's weights and buffers
state.safetensors     the tensors of everything else
state.json            everything else: the state of each attribute that has one (optimizers, schedulers), and the
                      plain attributes (numbers, text, tensors) that `learn` has changed
====================  ===========================================================================================

Nothing is pickled. LEMUR does not know of checkpoints, so what a file keeps is found in the attributes of its Net. Only
what `train_setup` makes again can be put back: a file that makes more while it learns, or keeps a state that cannot be
written, has no checkpoints, and a trial of it begins anew when it is continued.

A clone has the weights, the optimizer's tensors and the changed attributes of its parent. Its hyperparameters are its
own: the groups of its optimizer, and its schedulers, which are stepped as often as the parent's were.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from hpo_models.lemur._values import copied, is_plain, read, same, written

MODEL, TENSORS, STATE = "model.safetensors", "state.safetensors", "state.json"
OWN = frozenset(vars(nn.Module()))  # what torch itself keeps in a module


class State(NamedTuple):
    """What is saved beside the weights: JSON's types, and tensors by name."""

    tree: Any
    tensors: dict[str, Tensor]


class Keeper:
    """Saves and restores one network. Made when `train_setup` has been called."""

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._made = dict(stateful(net))
        self._plain = {name: copied(value) for name, value in _plain(net)}

    def state(self, trial: int) -> State:
        """All but the weights, after an epoch of a trial. Raises TypeError for what could not be put back."""
        now = dict(stateful(self._net))
        later = [name for name in now if name not in self._made]
        if later:
            raise TypeError(f"learn() makes '{later[0]}', which train_setup() does not")
        changed = {
            name: value
            for name, value in _plain(self._net)
            if name not in self._plain or not same(value, self._plain[name])
        }
        states = {name: value.state_dict() for name, value in now.items()}
        return State(*written({"trial": trial, "stateful": states, "changed": changed}))

    def save(self, folder: Path, state: State, metadata: dict[str, str]) -> None:
        """Fill a checkpoint's folder. Raises OSError and safetensors' errors, say when the disk is full."""
        save_model(self._net, str(folder / MODEL), metadata)
        save_file(state.tensors, folder / TENSORS)
        (folder / STATE).write_text(json.dumps(state.tree), encoding="utf-8")

    def restore(self, folder: Path, trial: int) -> None:
        """Take up a checkpoint; that of another trial makes a clone. Raises ValueError, with the file."""
        try:
            tree = json.loads((folder / STATE).read_text(encoding="utf-8"))
            state = read(tree, load_file(folder / TENSORS))
            load_model(self._net, folder / MODEL)
        except (KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise ValueError(f"{folder} does not fit this network: {error}") from error
        take_up = _restore if state["trial"] == trial else _inherit
        for name, value in self._made.items():
            if name in state["stateful"]:
                take_up(value, state["stateful"][name])
        for name, value in state["changed"].items():
            old = getattr(self._net, name, None)
            if isinstance(value, Tensor) and isinstance(old, Tensor):
                value = value.to(old.device)
            setattr(self._net, name, value)


def stateful(net: nn.Module) -> Iterator[tuple[str, Any]]:
    """The optimizers, schedulers and the like among a network's attributes, or in a list of these, by their places."""
    for name, value in vars(net).items():
        if name in OWN:
            continue
        items = {name: value}
        if isinstance(value, list | tuple):
            items = {f"{name}.{index}": item for index, item in enumerate(value)}
        elif isinstance(value, dict):
            items = {f"{name}.{key}": item for key, item in value.items()}
        for place, item in items.items():
            if hasattr(item, "load_state_dict") and not isinstance(item, nn.Module | type):
                yield place, item


def _plain(net: nn.Module) -> Iterator[tuple[str, Any]]:
    return ((n, value) for n, value in vars(net).items() if n not in OWN and is_plain(value))


def _restore(value: Any, state: Any) -> None:
    value.load_state_dict(state)


def _inherit(value: Any, state: Any) -> None:
    """What a clone takes over of one of its parent's optimizers or schedulers."""
    if isinstance(value, Optimizer):
        groups = value.state_dict()["param_groups"]
        value.load_state_dict({"state": state["state"], "param_groups": groups})
    elif isinstance(value, ReduceLROnPlateau):
        logging.getLogger(__name__).info(
            "the clone's LR scheduler has not seen its parent's losses"
        )
    elif isinstance(value, LRScheduler):
        with warnings.catch_warnings():
            # the optimizer has made these steps in another trial
            warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler.step\(\)`")
            for _ in range(state["last_epoch"] - value.last_epoch):
                value.step()
    else:
        value.load_state_dict(state)
