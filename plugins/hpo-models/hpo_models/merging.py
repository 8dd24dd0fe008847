"""From a checkpoint of a model with adapters to one of its backbone.

A checkpoint's `model.safetensors` says in its metadata what it is of: the model as a study writes it, the shape of the
images and the classes. The merged file says the same of the backbone, so it is used like any other.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hpo_core import HpoError, InputShape


def merge_file(source: Path, target: Path) -> str:
    """Merge the adapters of the model in `source` into its weights, written to `target`; the backbone's name.

    Called by `hpo models merge`. Raises HpoError for a file that is not of a model with adapters.
    """
    from safetensors.torch import load_file, save_file

    from hpo_core.commands import read_component
    from hpo_models.low_rank import merge

    metadata = _metadata(source)
    tree = json.loads(metadata["model"])
    if tree.get("name") != "lora":
        raise HpoError(f"{source} is of the model '{tree.get('name')}', which has no adapters")
    tree = _without_weights(tree)
    options = [f"{name}={json.dumps(value)}" for name, value in tree.items() if name != "name"]
    model = read_component("models", "lora", options).build(_shape(metadata))
    model.load_state_dict(load_file(source))
    merge(model)
    backbone = tree["backbone"]
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, partial, metadata | {"model": json.dumps(backbone)})
    os.replace(partial, target)
    return str(backbone["name"])


def _without_weights(tree: Any) -> Any:
    """A model that starts random: what it started from need not be there any more, the file has it all."""
    if isinstance(tree, dict):
        return {
            name: None if name == "weights" else _without_weights(value)
            for name, value in tree.items()
        }
    return tree


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise HpoError(f"cannot read {path}: {error}") from error
    missing = [name for name in ("model", "classes", "input_shape") if name not in metadata]
    if missing:
        raise HpoError(f"{path} is not a model of a study: it has no {', '.join(missing)}")
    return metadata


def _shape(metadata: dict[str, str]) -> InputShape:
    channels, height, width = json.loads(metadata["input_shape"])
    return InputShape(channels, height, width, len(json.loads(metadata["classes"])))
