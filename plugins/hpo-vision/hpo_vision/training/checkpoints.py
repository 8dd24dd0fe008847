"""What a checkpoint of a training holds, and how Lightning's dictionary gets into files and out again.

====================  =======================================================================================
model.safetensors     the weights that were validated, under the network's own names: what a registry keeps
state.safetensors     every other tensor: the optimizer's, and with an average the weights that are trained
state.json            the structure of it all, with the trial's number
====================  =======================================================================================

No tensor is written twice and nothing is pickled: reading a checkpoint cannot run code. Random states are not among it,
because each epoch begins with a seed of its own (see `hpo_vision.training.training`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hpo_vision.training.nested import Tensors, flatten, unflatten

MODEL, STATE, STRUCTURE = "model.safetensors", "state.safetensors", "state.json"
NEEDED = ("trial", "optimizer", "state_dict", "loops", "optimizer_states", "lr_schedulers")


class FolderIO(CheckpointIO):
    """Writes and reads checkpoints as folders; plugged into Lightning's Trainer.

    A checkpoint's `validated` is what the names of the validated network begin with in the module's state: `network.`,
    or that of its average.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Fill the folder `path`; called by `Trainer.save_checkpoint`. Raises OSError, say when the disk is full.

        `storage_options` is text by name, which the file of weights carries as its metadata.
        """
        folder, prefix = Path(path), checkpoint["validated"]
        modules = checkpoint["state_dict"]
        weights = {
            name.removeprefix(prefix): tensor.contiguous()
            for name, tensor in modules.items()
            if name.startswith(prefix)
        }
        others = {name: value for name, value in modules.items() if not name.startswith(prefix)}
        model, model_tensors = flatten(weights)
        state, state_tensors = flatten({**checkpoint, "state_dict": others})
        _write(model_tensors, folder / MODEL, storage_options)
        _write(state_tensors, folder / STATE, None)
        structure = {"prefix": prefix, "model": model, "state": state}
        (folder / STRUCTURE).write_text(json.dumps(structure), encoding="utf-8")

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """What was saved, on the CPU; called by `Trainer.fit(ckpt_path=...)`. Raises ValueError, with the file."""
        folder = Path(path)
        try:
            structure = json.loads((folder / STRUCTURE).read_text(encoding="utf-8"))
            prefix, model, state = (structure[key] for key in ("prefix", "model", "state"))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{folder / STRUCTURE} is not that of a training: {error}") from error
        weights = _read(model, folder / MODEL)
        checkpoint: dict[str, Any] = _read(state, folder / STATE)
        missing = [name for name in NEEDED if name not in checkpoint]
        if missing:
            raise ValueError(f"{folder / STRUCTURE} has no {', '.join(missing)}")
        checkpoint["validated"] = prefix
        named = {prefix + name: tensor for name, tensor in weights.items()}
        checkpoint["state_dict"] = {**named, **checkpoint["state_dict"]}
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Never called: the study deletes checkpoints."""
        raise NotImplementedError("checkpoints are deleted by the study")


def _write(tensors: Tensors, path: Path, metadata: Mapping[str, str] | None) -> None:
    """safetensors has an error of its own for a full disk; the study knows OSError."""
    try:
        save_file(tensors, path, dict(metadata or {"format": "pt"}))
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    _put_in_order(path)


def _put_in_order(path: Path) -> None:
    """Sort the metadata of a file: safetensors writes them in any order, and the same weights should be the same file.

    The header (https://huggingface.co/docs/safetensors: 8 bytes of its length, then JSON and spaces) keeps its length.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def _read(tree: Any, path: Path) -> Any:
    """The value whose tensors lie in a file.

    They are copied into memory of their own, aligned as those of a running training: kernels may round differently
    for another alignment, and the file may be deleted meanwhile.
    """
    try:
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        return unflatten(tree, tensors)
    except KeyError as error:
        raise ValueError(f"{path} has no tensor {error}, which {STRUCTURE} names") from error
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
