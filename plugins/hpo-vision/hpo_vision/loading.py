"""From the folder of a model version to its network, its labels and the dataset that it was trained on.

A folder says it all by itself: the metadata of `model.safetensors` name the model as a study writes it, the shape of
its inputs and its classes, and `labels_mapping.json` how images are scaled. Nothing here compares a sha256: ask for the
folder with `hpo_core.commands.Registry.verified`, which does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_core import Component, Dataset, InputShape
from hpo_core.commands import UsageError, read_component

if TYPE_CHECKING:
    from torch import nn

WEIGHTS, MAPPING = "model.safetensors", "labels_mapping.json"
_NEEDED = ("model", "classes", "input_shape")


@dataclass(frozen=True)
class Described:
    """What a version's folder says of its model.

    `model` is the component as a study writes it, `classes` are the names in the order of the logits. An input is
    (pixel / 255 - mean) / std, `mean` and `std` per channel.
    """

    folder: Path
    model: Mapping[str, Any]
    shape: InputShape
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def described(folder: Path) -> Described:
    """Read what a version's folder says of its model. Raises UsageError where it is not one of image-classification."""
    about = _metadata(folder / WEIGHTS)
    try:
        model = dict(json.loads(about["model"]))
        classes = tuple(map(str, json.loads(about["classes"])))
        channels, height, width = map(int, json.loads(about["input_shape"]))
    except (ValueError, TypeError) as error:
        raise UsageError(f"the metadata of {folder / WEIGHTS} are damaged: {error}") from error
    mean, std = _normalization(folder / MAPPING, classes, channels)
    shape = InputShape(channels, height, width, len(classes))
    return Described(folder, model, shape, classes, mean, std)


def network_of(about: Described) -> nn.Module:
    """The network with the version's weights, on the CPU, in evaluation mode; torch's generators stay as they are.

    What the training started from (`weights: FILE`) need not be there any more. Raises UsageError where the weights do
    not fit the model that is installed here, and StudyFileError where that does not know its options.
    """
    import torch
    from safetensors.torch import load_model

    component = component_of("models", _random(about.model))
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = component.build(about.shape)
    try:
        load_model(
            network, about.folder / WEIGHTS
        )  # one name for weights that are shared is enough
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{about.folder / WEIGHTS} does not fit the model '{component.name}' that is installed here: {reason}"
        ) from error
    return network.eval()


def dataset_of(config: Mapping[str, Any], classes: tuple[str, ...], seed: int = 0) -> Dataset:
    """The dataset of a version, by the options of its trial (`version.config`).

    Raises UsageError where there is none, where it cannot be read, and where its classes are not those of the model.
    """
    tree = config.get("dataset")
    if not isinstance(tree, Mapping):
        raise UsageError("the version's trial names no dataset")
    component = component_of("datasets", tree)
    try:
        dataset: Dataset = component.build(seed)
    except (ValueError, OSError) as error:
        raise UsageError(f"the dataset '{component.name}' cannot be read: {error}") from error
    if tuple(dataset.classes) != classes:
        raise UsageError(
            f"the dataset '{component.name}' is not what the model was trained on: it has the classes "
            f"{_some(dataset.classes)} instead of {_some(classes)}"
        )
    return dataset


def component_of(kind: str, tree: Mapping[str, Any]) -> Component:
    """A component as it was stored with a trial, to be built. Raises StudyFileError, as `read_component`."""
    options = (
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in tree.items()
        if name != "name"
    )
    return read_component(kind, tree["name"], options)


def _random(tree: Any) -> Any:
    """A model's options, and those of models in it, without what it started from: a version has all its weights."""
    if isinstance(tree, Mapping):
        return {
            name: None if name == "weights" and isinstance(value, str) else _random(value)
            for name, value in tree.items()
        }
    return tree


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:  # no tensor is read: torch need not be imported
            about: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    missing = [name for name in _NEEDED if name not in about]
    if missing:
        raise UsageError(
            f"{path} is not a model of image-classification: its metadata have no {', '.join(missing)}"
        )
    return about


def _normalization(
    path: Path, classes: tuple[str, ...], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel; those of -1..1, which all our datasets give, without a mapping."""
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
        if tuple(mapping["classes"]) != classes:
            raise UsageError(f"{path} has other classes than the model beside it")
        scaling = mapping["normalization"]
        mean, std = (tuple(map(float, scaling[name])) for name in ("mean", "std"))
        if not len(mean) == len(std) == channels:
            raise UsageError(f"{path} scales other channels than the {channels} of the model")
        return mean, std
    except FileNotFoundError:  # registered before the mapping was kept
        return (0.5,) * channels, (0.5,) * channels
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"cannot read {path}: {error!r}") from error


def _some(names: tuple[str, ...], most: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
