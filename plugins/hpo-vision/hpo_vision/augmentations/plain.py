"""The augmentations that leave every pixel where it is: `none`, `color-jitter`, `erasing`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hpo_core import Float, InputShape
from hpo_vision.augmentations.operations import does
from hpo_vision.augmentations.options import Probability


@does()
def none(shape: InputShape) -> Any:
    """Leave images and labels as they are."""
    return lambda images, labels: (images, labels)


@does("recolor")
def color_jitter(
    shape: InputShape,
    *,
    brightness: Annotated[
        float, Field(ge=0, le=1, description="How far its factor goes from 1."), Float(0.0, 0.8)
    ] = 0.4,
    contrast: Annotated[
        float, Field(ge=0, le=1, description="How far its factor goes from 1."), Float(0.0, 0.8)
    ] = 0.4,
    saturation: Annotated[
        float, Field(ge=0, le=1, description="How far its factor goes from 1."), Float(0.0, 0.8)
    ] = 0.4,
    hue: Annotated[
        float,
        Field(ge=0, le=0.5, description="How far hues turn, as a part of the circle."),
        Float(0.0, 0.2),
    ] = 0.0,
) -> Any:
    """Change brightness, contrast, saturation and hue, in this order. Saturation and hue need three channels."""
    import torch

    from hpo_vision.augmentations import _colouring

    def augment(images: Any, labels: Any) -> Any:
        pixels = images * 0.5 + 0.5
        for amount, middle, change in (
            (brightness, 1.0, _colouring.brightness),
            (contrast, 1.0, _colouring.contrast),
            (saturation, 1.0, _colouring.saturation),
            (hue, 0.0, _colouring.hue),
        ):
            if amount:
                drawn = torch.empty(len(images)).uniform_(middle - amount, middle + amount)
                pixels = change(pixels, drawn)
        return pixels * 2 - 1, labels

    return augment


@does("erase")
def erasing(
    shape: InputShape,
    *,
    probability: Probability = 0.5,
    area: Annotated[
        float,
        Field(ge=0, le=1, description="The largest part of an image that is erased."),
        Float(0.05, 0.5),
    ] = 0.33,
    stretch: Annotated[
        float, Field(ge=1, le=10, description="The largest factor between width and height.")
    ] = 3.3,
    value: Annotated[
        Literal["grey", "noise"], Field(description="What is there instead.")
    ] = "grey",
) -> Any:
    """Cover a rectangle of each image (Zhong et al. 2020); it may reach over the edge, and is then smaller."""
    import torch

    from hpo_vision.augmentations._mixing import boxes

    def augment(images: Any, labels: Any) -> Any:
        count = len(images)
        share = torch.empty(count).uniform_(0, area) * (torch.rand(count) < probability)
        ratio = stretch ** torch.empty(count).uniform_(-1, 1)
        sides = torch.stack([(share * ratio).sqrt(), (share / ratio).sqrt()], 1)
        sizes = sides * torch.tensor([shape.height, shape.width])
        covered = boxes(torch.rand(count, 2), sizes, shape.height, shape.width)
        there = torch.zeros(()) if value == "grey" else torch.randn_like(images)
        covered = covered[:, None].to(images.device)
        return torch.where(covered, there.to(images), images), labels

    return augment
