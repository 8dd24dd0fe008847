"""Changes the colours of a batch of images (N, C, H, W) in 0..1, each by its own amount (N,).

The pixel work is torchvision's where it has some that is per image; where it takes one factor for a whole batch, the
factor is applied here: brightness, contrast, saturation and sharpness are all a mixture of the image and of what
torchvision makes of it at factor 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional


def _each(amounts: Tensor, images: Tensor) -> Tensor:
    return amounts.to(images, non_blocking=True)[:, None, None, None]


def mixed(images: Tensor, other: Tensor, amounts: Tensor) -> Tensor:
    """`other` at amount 0, the images at 1, more of their difference above; cut off at 0 and 1."""
    return other.lerp(images, _each(amounts, images)).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 3:
        grey: Tensor = functional.rgb_to_grayscale(images)
        return grey
    return images.mean(1, keepdim=True)


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Black at 0."""
    return (images * _each(factors, images)).clamp(0, 1)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """The image's mean grey at 0."""
    return mixed(images, _grey(images).mean((1, 2, 3), keepdim=True).expand_as(images), factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Grey at 0; images that have no three channels stay."""
    if images.shape[1] != 3:
        return images
    return mixed(images, _grey(images).expand_as(images), factors)


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Smoothed at 0."""
    single = images.flatten(0, 1).unsqueeze(1)
    return mixed(images, functional.adjust_sharpness(single, 0.0).view_as(images), factors)


def hue(images: Tensor, turns: Tensor) -> Tensor:
    """Colours turned around the grey axis of YIQ, which keeps their luma; images without three channels stay.

    One matrix per image: torchvision's detour over HSV takes one angle for all of them.
    """
    if images.shape[1] != 3:
        return images
    there = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    angles = turns * 2 * torch.pi
    turn = torch.eye(3).repeat(len(turns), 1, 1)
    turn[:, 1, 1], turn[:, 1, 2] = angles.cos(), -angles.sin()
    turn[:, 2, 1], turn[:, 2, 2] = angles.sin(), angles.cos()
    matrices = (there.inverse() @ turn @ there).to(images, non_blocking=True)
    return torch.einsum("nij,njhw->nihw", matrices, images).clamp(0, 1)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Only the first of the 8 bits of each channel; at 8 bits images stay."""
    bits = _each(bits, images)
    step = torch.exp2(8 - bits)
    coarse = (images * 255 / step).floor() * step / 255
    return torch.where(bits >= 8, images, coarse)


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Inverted where they are brighter than the threshold; at 1 images stay."""
    return torch.where(images > _each(thresholds, images), 1 - images, images)


def autocontrast(images: Tensor, amounts: Tensor) -> Tensor:
    """At 1 each channel reaches from 0 to 1, at 0 images stay."""
    single = images.flatten(0, 1).unsqueeze(1)
    stretched = functional.autocontrast(single).view_as(images)
    return images.lerp(stretched, _each(amounts, images))


def equalize(images: Tensor, amounts: Tensor) -> Tensor:
    """At 1 all brightnesses of each channel are equally frequent, at 0 images stay."""
    return images.lerp(functional.equalize(images), _each(amounts, images))
