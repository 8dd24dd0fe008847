"""The model `tiny`."""

from typing import Annotated

from pydantic import Field

from hpo_core import InputShape, hookimpl


def tiny(shape: InputShape, *, width: Annotated[int, Field(ge=1, description="channels")] = 16):
    """One convolution of `width` channels, their means over 4x4 fields, and a linear classifier."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(shape.channels, width, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(width * 16, shape.classes),
    )


@hookimpl
def register_models(register):
    register("tiny", tiny)
