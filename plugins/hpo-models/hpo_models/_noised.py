"""A ResNet on the images of a diffusion process (Ho et al. 2020, DDPM), conditioned on the time. Imported on use."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

STEPS = 1000
BETAS = (1e-4, 0.02)
WAVES = 32


class NoisedClassifier(nn.Module):
    """Images (N, C, H, W) to logits (N, classes); noisy ones in training, up to `noise` * 1000 steps."""

    kept: Tensor

    def __init__(self, resnet: Any, noise: float) -> None:
        super().__init__()
        self.latest = round(noise * STEPS)
        channels = resnet.conv1.out_channels
        self.stem = nn.Sequential(resnet.conv1, resnet.bn1)
        self.time = nn.Sequential(
            nn.Linear(2 * WAVES, channels), nn.SiLU(), nn.Linear(channels, channels)
        )
        stages = (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)
        self.body = nn.Sequential(
            resnet.relu, resnet.maxpool, *stages, resnet.avgpool, nn.Flatten(), resnet.fc
        )
        # DDPM's alpha-bar: the share of the image's variance that is left at time t = 0 .. 1000
        kept = torch.cat([torch.ones(1), (1 - torch.linspace(*BETAS, STEPS)).cumprod(0)])
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits; in training each image is at a time of its own."""
        times = torch.zeros(len(images), dtype=torch.long, device=images.device)
        if self.training:
            times = torch.randint_like(times, self.latest + 1)
            kept = self.kept[times].to(images.dtype)[:, None, None, None]
            images = kept.sqrt() * images + (1 - kept).sqrt() * torch.randn_like(images)
        told = self.time(waves(times).to(images.dtype))[:, :, None, None]
        logits: Tensor = self.body(self.stem(images) + told)
        return logits


def waves(times: Tensor) -> Tensor:
    """Sines and cosines (N, 64) of times (N,), from one wave per step to one per 10,000."""
    powers = torch.arange(WAVES, device=times.device) / WAVES
    angles = times[:, None] * torch.exp(-math.log(10_000) * powers)
    return torch.cat([angles.sin(), angles.cos()], 1)
