"""From what a person calls a model to something that gives logits: a registered version, an exported folder, ONNX.

Files are compared with their sha256 before they are read: those of a version with the registry's, those of an export
with its manifest's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hpo_core import InputShape
from hpo_core.commands import Registry, UsageError
from hpo_vision.loading import WEIGHTS, Described, described, network_of
from hpo_vision.training.settings import Device

if TYPE_CHECKING:
    from torch import nn

ONNX, MANIFEST = "model.onnx", "manifest.json"


@dataclass(frozen=True)
class Model:
    """A model that is ready. `name` is for people; `logits` maps bytes (B, C, H, W) to logits (B, classes) on the CPU.

    `network` is behind the scaling of pixels, for who wants to look inside; None where that cannot be done. `inputs`
    maps bytes to what it takes.
    """

    name: str
    shape: InputShape
    classes: tuple[str, ...]
    logits: Callable[[Tensor], Tensor]
    network: nn.Module | None = None
    inputs: Callable[[Tensor], Tensor] | None = None


def loaded(reference: str, storage: str, device: Device) -> Model:
    """The model that is meant: a folder or a file of an export that is there, else a version of the registry.

    Raises UsageError for what is not there or takes no pictures, and StoreError for a version that is damaged.
    """
    path = Path(reference)
    if path.suffix == ".onnx" and path.is_file():
        model = _from_onnx(path, _manifest(path.parent), device)
    elif (path / WEIGHTS).is_file():
        model = _from_weights(path, reference, _degrees(_manifest(path)), device)
    elif (path / ONNX).is_file():
        model = _from_onnx(path / ONNX, _manifest(path), device)
    else:
        version = Registry.open(storage).verified(reference)
        model = _from_weights(version.folder, version.label, 1.0, device)
    if model.shape.channels not in (1, 3):
        raise UsageError(
            f"{model.name} takes {model.shape.channels} channels, and pictures have 1 or 3"
        )
    return model


def _from_weights(folder: Path, name: str, degrees: float, device: Device) -> Model:
    about = described(folder)
    place = _place(device)
    network = network_of(about).to(place)
    mean, std = (_channels(each).to(place) for each in (about.mean, about.std))

    def inputs(pixels: Tensor) -> Tensor:
        return pixels.to(place).float().div(255).sub(mean).div(std)

    @torch.inference_mode()
    def logits(pixels: Tensor) -> Tensor:
        try:
            found: Tensor = network(inputs(pixels)).float().cpu() / degrees
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"{len(pixels)} images at once do not fit into the memory of {place}: give a smaller --batch-size"
            ) from error
        return _checked(found, about, len(pixels))

    return Model(name, about.shape, about.classes, logits, network, inputs)


def _checked(logits: Tensor, about: Described, count: int) -> Tensor:
    if logits.shape != (count, about.shape.classes):
        raise UsageError(
            f"the model in {about.folder} gives {tuple(logits.shape[1:])} numbers for an image, and has "
            f"{about.shape.classes} classes"
        )
    return logits


def _place(device: Device) -> torch.device:
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, is_there in there.items() if is_there))
    if not there[device]:
        raise UsageError(f"PyTorch finds no device '{device}' here")
    return torch.device(device)


def _from_onnx(path: Path, manifest: dict[str, Any], device: Device) -> Model:
    """An ONNX file as `hpo export` writes it. Raises UsageError for another one."""
    if device not in ("auto", "cpu"):
        raise UsageError(f"{path} runs on the CPU: leave out --device")
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(f"{path} needs onnxruntime: pip install 'hpo-vision[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes, which have no common one
        raise UsageError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    about = session.get_modelmeta().custom_metadata_map
    try:
        classes = tuple(json.loads(about["classes"]))
        channels, height, width = json.loads(about["input_shape"])
        scaling = json.loads(about["normalization"])
    except (KeyError, ValueError) as error:
        raise UsageError(f"{path} was not made by hpo export: its metadata lack {error}") from error
    inside = scaling["inside"]
    mean, std = _channels(scaling["mean"]), _channels(scaling["std"])

    def logits(pixels: Tensor) -> Tensor:
        images = pixels.float().div(255)
        given = images if inside else images.sub(mean).div(std)
        return torch.from_numpy(session.run(["logits"], {"images": given.numpy()})[0])

    return Model(str(path), InputShape(channels, height, width, len(classes)), classes, logits)


def _channels(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def _manifest(folder: Path) -> dict[str, Any]:
    """What an export says of itself; nothing where there is no manifest. Raises UsageError for changed files."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = {name: about["sha256"] for name, about in manifest["files"].items()}
        for name, expected in files.items():
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise UsageError(
                        f"{folder / name} is not what was exported: its sha256 is another one"
                    )
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not what hpo export writes: {error!r}") from error
    return manifest


def _degrees(manifest: dict[str, Any]) -> float:
    """What logits are divided by, so that probabilities are how often they are right; the ONNX file does it itself."""
    temperature = manifest.get("temperature")
    return float(temperature["temperature"]) if temperature else 1.0
