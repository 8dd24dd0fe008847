"""Makes a batch of images (N, C, H, W) in 0..1 worse, as broadcasts do, each image by its own amount (N,)."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torchvision.transforms.v2 import functional

LEVELS = 8
"""How many sizes images are reduced to: those of one size are resized together."""


def compressed(images: Tensor, qualities: Tensor) -> Tensor:
    """Through JPEG at qualities (N,); those from 100 on stay. One by one, on the CPU: the codec is Pillow's."""
    result = images.clone()
    for index, quality in enumerate(qualities.round().int().tolist()):
        if quality < 100:
            result[index] = _compressed(images[index], quality)
    return result


def _compressed(image: Tensor, quality: int) -> Tensor:
    """One image (C, H, W) of 1 or 3 channels."""
    levels = (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(levels.squeeze(2) if levels.shape[2] == 1 else levels).save(
        file, "JPEG", quality=quality
    )
    with Image.open(file) as decoded:
        pixels = torch.from_numpy(np.array(decoded)).reshape(levels.shape)
    return pixels.permute(2, 0, 1).to(image) / 255


def coarsened(images: Tensor, factors: Tensor) -> Tensor:
    """Reduced by factors (N,) in 0..1, in one of a few steps, and enlarged again; at 1 images stay."""
    height, width = images.shape[-2:]
    result = images.clone()
    levels = (factors * LEVELS).ceil().clamp(1, LEVELS).int()
    for level in sorted(set(levels.tolist())):
        if level < LEVELS:
            where = (levels == level).nonzero().flatten().to(images.device)
            small = [max(1, round(side * level / LEVELS)) for side in (height, width)]
            reduced = functional.resize(images[where], small, antialias=True)
            result[where] = functional.resize(reduced, [height, width]).clamp(0, 1)
    return result


def blurred(images: Tensor, widths: Tensor) -> Tensor:
    """Through Gaussians of standard deviations (N,) in pixels; at 0 images stay."""
    reach = min(max(1, int(3 * float(widths.max()) + 0.5)), min(images.shape[-2:]) - 1)
    if reach < 1 or not bool((widths > 0).any()):
        return images
    places = torch.arange(-reach, reach + 1.0)
    kernels = torch.exp(-0.5 * (places / widths.clamp(min=1e-3)[:, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).to(images)
    count, channels, height, width = images.shape
    kernels = kernels.repeat_interleave(channels, 0)[:, None]
    flat = images.reshape(1, count * channels, height, width)
    flat = conv2d(
        pad(flat, (reach, reach, 0, 0), "reflect"), kernels[:, :, None], groups=count * channels
    )
    flat = conv2d(
        pad(flat, (0, 0, reach, reach), "reflect"), kernels[..., None], groups=count * channels
    )
    return flat.reshape(images.shape)


def noisy(images: Tensor, deviations: Tensor) -> Tensor:
    """With Gaussian noise of standard deviations (N,)."""
    amounts = deviations.to(images)[:, None, None, None]
    return (images + torch.randn_like(images) * amounts).clamp(0, 1)


def drawn(count: int, low: float, high: float) -> Tensor:
    """Amounts (N,), uniform between two."""
    return torch.empty(count).uniform_(low, high)
