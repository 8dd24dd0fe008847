"""Complex convolutions out of real ones. Imported by the factory on use.

A complex map of C channels is a real one of 2C: the real parts, then the imaginary ones. So parameters are real, which
every optimizer, precision and file format knows what to do with.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = 4


class ComplexConv2d(nn.Module):
    """(A + iB) * (x + iy), 3x3 with stride 2: maps (N, 2 C, H, W) to (N, 2 C', H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.real = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.imaginary = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        # He's variance, shared by the two parts; each output sums over both parts of the input
        for part in (self.real, self.imaginary):
            nn.init.normal_(part, std=(inputs * 9) ** -0.5)

    def forward(self, maps: Tensor) -> Tensor:
        """Real parts Ax - By, imaginary parts Bx + Ay."""
        rows = ((self.real, -self.imaginary), (self.imaginary, self.real))
        weight = torch.cat([torch.cat(row, 1) for row in rows])
        return functional.conv2d(maps, weight, stride=2, padding=1)


class ComplexNet(nn.Module):
    """Images (N, channels, H, W), whose imaginary parts are zero, to logits (N, classes)."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        widths = [channels, *(width * 2**stage for stage in range(STAGES))]
        super().__init__()
        self.stages = nn.Sequential(
            *(
                nn.Sequential(ComplexConv2d(a, b), nn.BatchNorm2d(2 * b), nn.ReLU())
                for a, b in itertools.pairwise(widths)
            )
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of real images."""
        maps: Tensor = self.stages(torch.cat([images, torch.zeros_like(images)], 1))
        real, imaginary = maps.chunk(2, 1)
        # the square root has no slope at zero
        magnitudes = (real.square() + imaginary.square() + 1e-8).sqrt()
        logits: Tensor = self.head(magnitudes.mean((2, 3)))
        return logits
