"""Functions whose source text goes into exported files where a model needs them; see `hpo_models.lemur.code`.

Read as text: nothing imports this module, which lives beside the others to be formatted and typed as they are.
"""

from __future__ import annotations

import timm
from torch import nn


def adapt_channels(model: nn.Module, channels: int) -> None:
    """Give the first convolution another number of input channels, where images do not have 3."""
    if channels == 3:
        return
    first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    first.in_channels = channels
    shape = (first.out_channels, channels, *first.kernel_size)
    first.weight = nn.Parameter(first.weight.new_empty(shape))
    first.reset_parameters()


def timm_model(name: str, in_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A model of timm; those with embeddings of positions are told the size of the images."""
    channels = in_shape[1]
    try:
        size = tuple(in_shape[2:])
        return timm.create_model(name, in_chans=channels, num_classes=classes, img_size=size)
    except TypeError:
        return timm.create_model(name, in_chans=channels, num_classes=classes)
