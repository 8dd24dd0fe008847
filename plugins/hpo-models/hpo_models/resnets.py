"""ResNets of torchvision for images of any size (He et al. 2016).

Their stem was made for 224 pixels: 7x7 with stride 2, then a max-pool with stride 2. What to do with smaller images is
the option `stem`; costs are of a training step of ResNet-18 on 32x32 images, one CPU thread:

============  ==============================  ===============  =====
stem          first layers                    layer 1 sees     cost
============  ==============================  ===============  =====
`standard`    7x7 stride 2, max-pool          size / 4         1
`small`       3x3 stride 2, max-pool          size / 4         1
`cifar`       3x3 stride 1                    size             about 10
`auto`        `small` up to 64 pixels, otherwise `standard`
============  ==============================  ===============  =====

`auto` does not choose `cifar`, although it is the more accurate one on natural images: a study that nobody waits for
teaches nothing, and who has a GPU writes one word. torchvision's weights are for `standard`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hpo_core import InputShape
from hpo_models.weights import Weights

SMALL = 64  # pixels, the longer side: up to here a 7x7 kernel covers too much of the image

StemName = Literal["auto", "small", "cifar", "standard"]
Stem = Annotated[
    StemName,
    Field(
        description="First layers: standard (7x7 stride 2, pool), small (3x3 stride 2, pool), "
        "cifar (3x3 stride 1, no pool: slow, accurate), auto (small up to 64 pixels)."
    ),
]


def resnet18(shape: InputShape, *, stem: Stem = "auto", weights: Weights = None) -> Any:
    """ResNet-18: 11.2 M parameters at 10 classes. Called by an objective once per trial."""
    return _resnet("resnet18", shape, stem, weights)


def resnet34(shape: InputShape, *, stem: Stem = "auto", weights: Weights = None) -> Any:
    """ResNet-34: 21.3 M parameters at 10 classes. Called by an objective once per trial."""
    return _resnet("resnet34", shape, stem, weights)


def resnet50(shape: InputShape, *, stem: Stem = "auto", weights: Weights = None) -> Any:
    """ResNet-50: 23.5 M parameters at 10 classes. Called by an objective once per trial."""
    return _resnet("resnet50", shape, stem, weights)


def resnet101(shape: InputShape, *, stem: Stem = "auto", weights: Weights = None) -> Any:
    """ResNet-101: 42.5 M parameters at 10 classes. Called by an objective once per trial."""
    return _resnet("resnet101", shape, stem, weights)


def _resnet(architecture: str, shape: InputShape, stem: StemName, weights: str | None) -> Any:
    from torch import nn
    from torchvision import models

    from hpo_models.small_maps import trim_convolutions

    model: Any = models.get_model(architecture, weights=None, num_classes=shape.classes)
    if stem == "auto":
        stem = "small" if max(shape.height, shape.width) <= SMALL else "standard"
    model.conv1 = _first_layer(shape.channels, stem)
    if stem == "cifar":
        model.maxpool = nn.Identity()
    if weights is not None:
        from hpo_models import _pretrained

        _pretrained.load_torchvision(model, architecture, weights, shape.classes)
    trim_convolutions(model)
    return model


def _first_layer(channels: int, stem: StemName) -> Any:
    from torch import nn

    kernel, stride = {"standard": (7, 2), "small": (3, 2), "cifar": (3, 1)}[stem]
    layer = nn.Conv2d(channels, 64, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
