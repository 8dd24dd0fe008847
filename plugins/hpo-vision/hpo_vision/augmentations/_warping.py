"""Moves the pixels of a batch, each image in its own way, in one call for all of them.

torchvision's geometric transforms take one matrix for a whole batch, so that its images would all turn by one angle.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

Fill = Literal["edge", "reflect", "grey", "black"]
"""What comes in from outside of an image: its edge drawn out, its mirror image, or a colour."""

_SAMPLED = {"edge": "border", "reflect": "reflection", "grey": "zeros", "black": "zeros"}
_PADDED = {"edge": "replicate", "reflect": "reflect", "grey": "constant", "black": "constant"}


def warped(images: Tensor, matrices: Tensor, fill: Fill) -> Tensor:
    """Images (N, C, H, W) in -1..1, each looked up bilinearly through its matrix (N, 2, 3).

    A matrix maps a place in the result to the place in the image that is seen there, in pixels from the centre.
    """
    height, width = images.shape[-2:]
    matrices = _relative(matrices, height, width).to(images, non_blocking=True)
    grid = affine_grid(matrices, list(images.shape), align_corners=False)
    shifted = images + 1 if fill == "black" else images
    seen = grid_sample(
        shifted, grid, mode="bilinear", padding_mode=_SAMPLED[fill], align_corners=False
    )
    return seen - 1 if fill == "black" else seen


def _relative(matrices: Tensor, height: int, width: int) -> Tensor:
    """The same maps where the image reaches from -1 to 1 in both directions, as torch wants them."""
    half = torch.tensor([width / 2, height / 2])
    columns = torch.cat([half, half.new_ones(1)])
    return matrices * columns / half[:, None]


def identity(count: int) -> Tensor:
    """Matrices (N, 2, 3) that change nothing."""
    return torch.eye(2, 3).repeat(count, 1, 1)


def turning(degrees: Tensor) -> Tensor:
    """Rotations by angles (N,)."""
    matrices = identity(len(degrees))
    sine, cosine = degrees.deg2rad().sin(), degrees.deg2rad().cos()
    matrices[:, 0, 0], matrices[:, 0, 1] = cosine, sine
    matrices[:, 1, 0], matrices[:, 1, 1] = -sine, cosine
    return matrices


def shearing(slopes: Tensor, axis: int) -> Tensor:
    """Shears along an axis (0: x, 1: y) by slopes (N,): pixels per pixel."""
    matrices = identity(len(slopes))
    matrices[:, axis, 1 - axis] = slopes
    return matrices


def moving(pixels: Tensor, axis: int) -> Tensor:
    """Shifts along an axis (0: x, 1: y) by numbers of pixels (N,)."""
    matrices = identity(len(pixels))
    matrices[:, axis, 2] = pixels
    return matrices


def zooming(scales: Tensor) -> Tensor:
    """Stretches of what is seen by factors (N, 2) in x and y: below 1 the image is enlarged."""
    matrices = identity(len(scales))
    matrices[:, 0, 0], matrices[:, 1, 1] = scales.unbind(1)
    return matrices


def chained(first: Tensor, second: Tensor) -> Tensor:
    """The maps `first` after `second`: matrices (N, 2, 3) as one."""
    row = torch.tensor([[0.0, 0.0, 1.0]]).expand(len(second), 1, 3)
    return first @ torch.cat([second, row], 1)


def shifted(
    images: Tensor, rows: Tensor, columns: Tensor, reach: tuple[int, int], fill: Fill
) -> Tensor:
    """Each image moved by whole pixels: `rows` and `columns` (N,) are from 0 to twice their reach, which is no move."""
    up, left = reach
    constant = {"black": -1.0, "grey": 0.0}.get(fill)
    room = pad(images, (left, left, up, up), _PADDED[fill], constant)
    count, channels, height, width = images.shape
    device = images.device
    rows = rows.to(device)[:, None] + torch.arange(height, device=device)
    columns = columns.to(device)[:, None] + torch.arange(width, device=device)
    index = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return room[index, channel, rows[:, None, :, None], columns[:, None, None, :]]
