"""The modules behind `multi-input`: what they do stands there. The half that imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hpo_core import InputShape
from hpo_models.layers import headless


def one_image(shape: InputShape, inputs: int) -> InputShape:
    """The shape of one of the images. Raises ValueError when the channels are not those of `inputs` images."""
    if shape.channels % inputs:
        raise ValueError(
            f"examples of {inputs} images have a multiple of {inputs} channels, these have {shape.channels}"
        )
    return replace(shape, channels=shape.channels // inputs)


class ChannelFusion(nn.Module):
    """One image of all: (N, inputs * C, H, W) -> (N, C, H, W), at first their average, and then the backbone."""

    def __init__(self, backbone: nn.Module, inputs: int, channels: int) -> None:
        super().__init__()
        self.fusion = nn.Conv2d(inputs * channels, channels, 1, bias=False)
        identity = torch.eye(channels)
        with torch.no_grad():
            self.fusion.weight.copy_(identity.repeat(1, inputs)[:, :, None, None] / inputs)
        self.backbone = backbone

    def networks(self) -> list[nn.Module]:
        """What sees an image. Called by objectives that tell layers apart, such as for `layer_decay`."""
        return [self.backbone]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes)."""
        logits: Tensor = self.backbone(self.fusion(images))
        return logits


class FeatureFusion(nn.Module):
    """The features of each image side by side, (N, inputs * F), and a classifier of them all.

    With one backbone all images go through it, as one batch; with as many as there are images, each has its own.
    """

    def __init__(
        self,
        backbones: Sequence[nn.Module],
        inputs: int,
        image: InputShape,
        hidden: int | None,
        drop_rate: float,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.image = image
        widths = {headless(backbone, image) for backbone in backbones}
        self.backbones = nn.ModuleList(backbones)
        self.classifier = _classifier(inputs * widths.pop(), hidden, image.classes, drop_rate)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes)."""
        return self.classifier(self.features(images))  # type: ignore[no-any-return]

    def networks(self) -> list[nn.Module]:
        """What sees an image, side by side. Called by objectives that tell layers apart, such as for `layer_decay`."""
        return list(self.backbones)

    def features(self, images: Tensor) -> Tensor:
        """Features (N, inputs * F), those of the first image first."""
        if len(self.backbones) == 1:
            each = images.reshape(-1, self.image.channels, *images.shape[2:])
            features: Tensor = self.backbones[0](each)
            return features.reshape(len(images), -1)
        parts = images.chunk(self.inputs, dim=1)
        looked = [look(part) for look, part in zip(self.backbones, parts, strict=True)]
        return torch.cat(looked, dim=1)


def _classifier(width: int, hidden: int | None, classes: int, drop_rate: float) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Dropout(drop_rate)] if drop_rate else []
    if hidden is not None:
        layers += [nn.Linear(width, hidden), nn.ReLU()]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, classes))
