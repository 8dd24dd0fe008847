"""What in an image speaks for its label: Grad-CAM, by captum, as PNG of the image and of the image under its heat.

Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization")
weights the last feature maps of a convolutional network by the mean gradient of the label's logit, and keeps what is
positive. It is as coarse as these maps: 7x7 for images of 224 pixels.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hpo_core.commands import UsageError
from hpo_vision.datasets.pictures import shown
from hpo_vision.prediction.found import Found
from hpo_vision.prediction.models import Model
from hpo_vision.prediction.reading import Reader
from hpo_vision.prediction.rows import Row, said

CELLS = 4
"""Coarser maps than these show nothing: for small images those of an earlier stage are taken."""

SIDE = 224
"""Smaller images are enlarged to about this many pixels."""


class Explainer:
    """Draws explanations into a folder, which is new or empty.

    Raises UsageError when there is no captum, and for models that Grad-CAM says nothing about.
    """

    def __init__(self, model: Model, folder: Path, reader: Reader) -> None:
        try:
            from captum.attr import LayerGradCam
        except ImportError as error:
            raise UsageError("--explain needs captum: pip install 'hpo-vision[explain]'") from error
        if model.network is None or model.inputs is None:
            raise UsageError(
                f"--explain needs weights, and {model.name} is ONNX: give the folder or the version"
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is there already: give a new folder, or delete it")
        blank = torch.zeros(1, model.shape.channels, model.shape.height, model.shape.width)
        self._network, self._inputs, self._classes = model.network, model.inputs, model.classes
        layer = last_maps(self._network, self._inputs(blank.byte()))
        self._method = LayerGradCam(self._network, layer)
        self._reader = reader
        self._folder = folder
        self._drawn = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make {folder}: {error.strerror}") from error

    def draw(self, row: Row) -> str | None:
        """The file that explains a row, just written; None for a row without a label."""
        if row.label is None:
            return None
        picture = self._reader.read(Found(row.path))  # again: pixels are not kept beside rows
        if picture.pixels is None:
            print(f"{said(row.path)}: cannot be explained: {picture.error}", file=sys.stderr)
            return None
        heat = self.heat(picture.pixels, self._classes.index(row.label))
        self._drawn += 1
        path = self._folder / f"{self._drawn:06}-{_plain(row.path)}.png"
        _save(overlay(picture.pixels, heat), path)
        return shown(path)

    def heat(self, pixels: Tensor, label: int) -> Tensor:
        """How much each place of pixels (C, H, W) speaks for a label: (H, W) from 0 to 1, all 0 if none does."""
        from captum.attr import LayerAttribution

        found: Any = self._method.attribute(
            self._inputs(pixels[None]), target=label, relu_attributions=True
        )
        size = (pixels.shape[1], pixels.shape[2])
        spread: Tensor = LayerAttribution.interpolate(found, size, "bilinear")
        heat = spread[0, 0].detach().float().cpu()
        most = float(heat.max())
        return heat / most if most > 0 else heat


@dataclass(frozen=True)
class _Call:
    """A module of a network that has been called, and the shape of what it gave."""

    module: nn.Module
    shape: torch.Size


def last_maps(network: nn.Module, images: Tensor) -> nn.Module:
    """The module that gives a network's last feature maps, or the last that are not coarser than CELLS a side.

    What is called last at the resolution of the last convolution: in a residual network the stage, not its last
    convolution, which lacks the shortcut. Raises UsageError for a network that goes on with tokens, as transformers do.
    """
    calls = _calls(network, images)
    last = _last(calls, 1)
    if last is None:
        raise UsageError(
            "--explain needs a convolution that gives more than one pixel: the model has none"
        )
    if any(isinstance(call.module, nn.Linear) and _tokens(call) for call in calls[last + 1 :]):
        raise UsageError(
            "--explain draws where convolutions look (Grad-CAM), and the model goes on with tokens after its last one, "
            "as transformers do: it has no such maps"
        )
    fine = _last(calls, CELLS)
    return calls[last if fine is None else fine].module


def _last(calls: list[_Call], least: int) -> int | None:
    """Which call gives the last maps of at least so many cells a side."""
    sizes = {
        place: call.shape[2:]
        for place, call in enumerate(calls)
        if len(call.shape) == 4 and max(call.shape[2:]) > 1 and min(call.shape[2:]) >= least
    }
    convolved = [place for place in sizes if isinstance(calls[place].module, nn.Conv2d)]
    if not convolved:
        return None
    return max(
        place
        for place, size in sizes.items()
        if place >= convolved[-1] and size == sizes[convolved[-1]]
    )


def _calls(network: nn.Module, images: Tensor) -> list[_Call]:
    """The calls of modules in the order in which they end."""
    calls: list[_Call] = []

    def note(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            calls.append(_Call(module, output.shape))

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _tokens(call: _Call) -> bool:
    """Whether there are several vectors for an image."""
    return call.shape.numel() > call.shape[0] * call.shape[-1]


def overlay(pixels: Tensor, heat: Tensor) -> Image.Image:
    """The image beside itself under its heat; what does not count stays as it is."""
    from matplotlib import colormaps

    times = max(1, round(SIDE / min(heat.shape)))
    size = (heat.shape[1] * times, heat.shape[0] * times)
    colours = pixels.expand(3, -1, -1).permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(colours)).resize(size, Image.Resampling.NEAREST)
    grey = Image.fromarray(heat.mul(255).round().to(torch.uint8).numpy())
    strength = (
        np.asarray(grey.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)[..., None] / 255
    )
    warm = colormaps["inferno"](strength[..., 0])[..., :3] * 255
    opaque = 0.6 * np.sqrt(strength)
    mixed = np.asarray(picture) * (1 - opaque) + warm * opaque
    page = Image.new("RGB", (2 * size[0] + 4, size[1]), "white")
    page.paste(picture, (0, 0))
    page.paste(Image.fromarray(mixed.astype(np.uint8)), (size[0] + 4, 0))
    return page


def _save(page: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all. Raises UsageError."""
    part = path.with_name(f".{path.name}.part")
    try:
        page.save(part, "PNG")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def _plain(path: str) -> str:
    """A file's name without what other machines cannot have in one."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", stem)[:60] or "image"
