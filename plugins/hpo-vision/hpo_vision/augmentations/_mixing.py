"""Mixes each image of a batch with another one, and the labels with them.

Every image has its own share and its own partner, where torchvision's MixUp and CutMix draw one share for a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def shares(count: int, alpha: float, probability: float) -> Tensor:
    """The part (N,) that each image keeps of itself: of Beta(alpha, alpha), or all of it."""
    if alpha == 0:
        return torch.ones(count)
    drawn = torch.distributions.Beta(alpha, alpha).sample((count,))
    return torch.where(torch.rand(count) < probability, drawn, 1.0)


def blended(
    images: Tensor, targets: Tensor, kept: Tensor, partners: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """MixUp (Zhang et al. 2018): lambda x_i + (1 - lambda) x_j, and so the targets; `kept` (N,) is lambda."""
    partners = partners.to(images.device)
    part = kept.to(images)
    mixed = images[partners].lerp(images, part[:, None, None, None])
    return mixed, _joined(targets, part, partners, classes)


def pasted(
    images: Tensor, targets: Tensor, boxes: Tensor, partners: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019): where `boxes` (N, H, W) are True the partner is seen, and counts by their area."""
    partners, boxes = partners.to(images.device), boxes.to(images.device)
    mixed = torch.where(boxes[:, None], images[partners], images)
    part = 1 - boxes.to(images.dtype).mean((1, 2))
    return mixed, _joined(targets, part, partners, classes)


def _joined(targets: Tensor, part: Tensor, partners: Tensor, classes: int) -> Tensor:
    sharp = one_hot(targets, classes).to(part) if targets.ndim == 1 else targets
    return sharp[partners].lerp(sharp, part[:, None])


def boxes(centres: Tensor, sizes: Tensor, height: int, width: int) -> Tensor:
    """Masks (N, H, W), True in a box around each centre (N, 2), of a size (N, 2) in pixels, cut off at the edges.

    Both have y first; centres are from 0 to 1.
    """
    masks = []
    for axis, length in enumerate((height, width)):
        middle = centres[:, axis, None] * length
        half = sizes[:, axis, None] / 2
        places = torch.arange(length) + 0.5
        masks.append((places - middle).abs() < half)
    return masks[0][:, :, None] & masks[1][:, None, :]
