"""Models without weights in files, for the tests of predictions: quick, and known by heart."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import torch
from hpo_vision.prediction.models import Model
from torch import Tensor, nn

from hpo_core import InputShape


def brightness(size: int = 4, classes: tuple[str, ...] = ("dark", "bright")) -> Model:
    """Tells bright pictures from dark ones: the more of either, the surer. Another class is never likely."""

    def logits(pixels: Tensor) -> Tensor:
        mean = pixels.float().div(255).mean((1, 2, 3)) - 0.5
        never = torch.full((len(pixels), len(classes) - 2), -30.0)
        return torch.cat((torch.stack((-8 * mean, 8 * mean), 1), never), 1)

    return Model("brightness", InputShape(3, size, size, len(classes)), classes, logits)


class Colours(nn.Module):
    """Says whether a picture has more red or more blue: a map of each, as Grad-CAM wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 8, stride=8, bias=False)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 0] = self.conv.weight[1, 2] = 1 / 64

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, 2)."""
        found: Tensor = self.pool(self.relu(self.conv((images + 1) / 2))).flatten(1)
        return found


def looking(network: nn.Module, size: int = 64, classes: int = 2) -> Model:
    """A network as a model that can be looked into."""

    def inputs(pixels: Tensor) -> Tensor:
        return pixels.float().div(255).sub(0.5).div(0.5)

    def logits(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = network(inputs(pixels))
        return found

    names = tuple(f"c{number}" for number in range(classes))
    return Model(
        "looking", InputShape(3, size, size, classes), names, logits, network.eval(), inputs
    )


def png(path: Path, width: int, height: int, body: bytes = b"") -> Path:
    """A PNG of two colours with such a header; `body` are its lines, a bit a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(body, 9))
        + chunk(b"IEND", b"")
    )
    return path


def bomb(path: Path) -> Path:
    """9,924 bytes that are 81 million pixels, all of them there."""
    return png(path, 9000, 9000, bytes(9000 * (1 + 9000 // 8)))
