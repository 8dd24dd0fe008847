"""The operations that policies draw from, and how each image of a batch gets its own.

A policy draws an operation and a magnitude for each image. The images that drew one operation then go through it
together, each with its own magnitude: a call per operation, not per image. What is drawn comes from the generator of
the CPU, so that no GPU is waited for and all devices see the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from hpo_core import Operation
from hpo_vision.augmentations import _colouring as colouring
from hpo_vision.augmentations._warping import Fill, moving, shearing, turning, warped

Act = Callable[[Tensor, Tensor], Tensor]
"""Images (N, C, H, W) in -1..1 and magnitudes (N,) to images."""


@dataclass(frozen=True)
class Reach:
    """What the operations do at magnitude 1.

    `shear` is a slope, `rotate` in degrees, `move` a part of the image's side, `colour` how far the factors of
    brightness, contrast, saturation and sharpness go from 1, `bits` how many of 8 posterizing takes away.
    """

    shear: float
    rotate: float
    move: float
    colour: float
    bits: int


RAND = Reach(0.3, 30.0, 150 / 331, 0.9, 4)
WIDE = Reach(0.99, 135.0, 150 / 331, 0.99, 6)
"""TrivialAugment's, but for the moves: its 32 pixels would empty an image of 32."""


@dataclass(frozen=True)
class Step:
    """One operation of a policy. A `signed` one gets magnitudes from -1 to 1, another one from 0 to 1; 0: none."""

    name: str
    operation: Operation
    act: Act
    signed: bool


def steps(reach: Reach, fill: Fill, strength: float) -> list[Step]:
    """RandAugment's 13 operations, scaled by `strength` (0: images stay)."""
    return _warps(reach, fill, strength) + _tints(reach, strength)


def _warps(reach: Reach, fill: Fill, strength: float) -> list[Step]:
    """Those that move pixels; their maps are of magnitudes (N,) and the image's width and height."""

    def step(name: str, operation: Operation, maps: Callable[[Tensor, int, int], Tensor]) -> Step:
        def act(images: Tensor, m: Tensor) -> Tensor:
            height, width = images.shape[-2:]
            return warped(images, maps(m * strength, width, height), fill)

        return Step(name, operation, act, True)

    return [
        step("shear-x", "shear", lambda m, w, h: shearing(m * reach.shear, 0)),
        step("shear-y", "shear", lambda m, w, h: shearing(m * reach.shear, 1)),
        step("move-x", "crop", lambda m, w, h: moving(m * reach.move * w, 0)),
        step("move-y", "crop", lambda m, w, h: moving(m * reach.move * h, 1)),
        step("rotate", "rotate", lambda m, w, h: turning(m * reach.rotate)),
    ]


def _tints(reach: Reach, strength: float) -> list[Step]:
    """Those that change colours, in 0..1; what has no magnitude goes as far as `strength` says."""

    def step(name: str, change: Act, amount: Callable[[Tensor], Tensor]) -> Step:
        def act(images: Tensor, m: Tensor) -> Tensor:
            return change(images * 0.5 + 0.5, amount(m * strength)) * 2 - 1

        operation: Operation = "invert" if name == "solarize" else "recolor"
        return Step(name, operation, act, signed=amount is factor)

    def factor(m: Tensor) -> Tensor:
        return 1 + m * reach.colour

    def whole(m: Tensor) -> Tensor:
        return torch.full_like(m, strength)

    return [
        step("brightness", colouring.brightness, factor),
        step("saturation", colouring.saturation, factor),
        step("contrast", colouring.contrast, factor),
        step("sharpness", colouring.sharpness, factor),
        step("posterize", colouring.posterize, lambda m: 8 - (m * reach.bits).round()),
        step("solarize", colouring.solarize, lambda m: 1 - m),
        step("autocontrast", colouring.autocontrast, whole),
        step("equalize", colouring.equalize, whole),
    ]


class Policy:
    """Draws one of its steps, or none, for each image, equally often: as TrivialAugment and RandAugment do."""

    def __init__(self, offered: Collection[Step]) -> None:
        self._steps = list(offered)

    def __call__(self, images: Tensor, magnitudes: Tensor, due: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W), each after one step at its magnitude (N,) in 0..1; only those that are `due` (N,)."""
        count = len(images)
        drawn = torch.randint(len(self._steps) + 1, (count,))
        signs = torch.randint(2, (count,)) * 2.0 - 1.0
        if due is not None:
            drawn = torch.where(due, drawn, len(self._steps))
        result = images.clone()
        for number, step in enumerate(self._steps):
            chosen = (drawn == number).nonzero().flatten()
            if len(chosen):
                amounts = magnitudes[chosen] * (signs[chosen] if step.signed else 1.0)
                where = chosen.to(images.device)
                result[where] = step.act(images[where], amounts)
        return result


def uniform(count: int) -> Tensor:
    """Magnitudes (N,): from 0 to 1 in the 31 steps of the papers."""
    return torch.randint(31, (count,)) / 30
