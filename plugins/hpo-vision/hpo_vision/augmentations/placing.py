"""The augmentations that move pixels: `flip`, `crop`, `resized-crop`, `affine`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float, InputShape, Operation
from hpo_vision.augmentations.operations import UPRIGHT, does, says
from hpo_vision.augmentations.options import Fill


@does("flip")
def flip(
    shape: InputShape,
    *,
    horizontal: Annotated[
        float, Field(ge=0, le=1, description="Part of the images mirrored left to right.")
    ] = 0.5,
    vertical: Annotated[
        float, Field(ge=0, le=1, description="Part of the images mirrored top to bottom.")
    ] = 0.0,
) -> Any:
    """Mirror images; wrong for whatever is read, such as digits."""
    import torch
    from torchvision.transforms.v2 import functional

    def augment(images: Any, labels: Any) -> Any:
        for probability, mirrored in (
            (horizontal, functional.horizontal_flip),
            (vertical, functional.vertical_flip),
        ):
            due = (torch.rand(len(images)) < probability).to(images.device)
            images = torch.where(due[:, None, None, None], mirrored(images), images)
        return images, labels

    return augment


@does("crop")
def crop(
    shape: InputShape,
    *,
    padding: Annotated[
        float,
        Field(ge=0, le=0.5, description="How far images move at most, as a part of their sides."),
        Float(0.0, 0.25),
    ] = 0.125,
    fill: Fill = "edge",
) -> Any:
    """Pad images and cut them to their size again at a random place: move them by whole pixels, without blurring."""
    import torch

    from hpo_vision.augmentations._warping import shifted

    reach = [round(padding * side) for side in (shape.height, shape.width)]

    def augment(images: Any, labels: Any) -> Any:
        rows, columns = (torch.randint(2 * most + 1, (len(images),)) for most in reach)
        return shifted(images, rows, columns, (reach[0], reach[1]), fill), labels

    return augment


@does("crop")
def resized_crop(
    shape: InputShape,
    *,
    area: Annotated[
        float,
        Field(gt=0, le=1, description="The least part of the image that is still seen."),
        Float(0.08, 1.0),
    ] = 0.35,
    stretch: Annotated[
        float, Field(ge=1, le=4, description="The largest factor between width and height.")
    ] = 4 / 3,
) -> Any:
    """Enlarge a random part of each image to its size, as ImageNet's trainings do (Szegedy et al. 2015)."""
    import torch

    from hpo_vision.augmentations._warping import chained, moving, warped, zooming

    def augment(images: Any, labels: Any) -> Any:
        count = len(images)
        size = torch.empty(count).uniform_(area, 1.0).sqrt()
        ratio = stretch ** torch.empty(count).uniform_(-0.5, 0.5)
        seen = torch.stack([size * ratio, size / ratio], 1).clamp(max=1.0)
        room = (1 - seen) * (torch.rand(count, 2) - 0.5)
        x, y = (room * torch.tensor([shape.width, shape.height])).unbind(1)
        matrices = chained(moving(x, 0), chained(moving(y, 1), zooming(seen)))
        return warped(images, matrices, "edge"), labels

    return augment


def _within(options: Mapping[str, Any]) -> list[Operation]:
    done: dict[Operation, bool] = {
        "rotate": options["degrees"] > UPRIGHT,
        "shear": options["shear"] > 0,
        "crop": options["move"] > 0 or options["zoom"] > 0,
    }
    return [operation for operation, does_it in done.items() if does_it]


@says(_within)
def affine(
    shape: InputShape,
    *,
    degrees: Annotated[
        float, Field(ge=0, le=180, description="The largest turn, both ways."), Float(0.0, 30.0)
    ] = 10.0,
    move: Annotated[
        float,
        Field(ge=0, le=1, description="The largest move, as a part of the sides."),
        Float(0.0, 0.2),
    ] = 0.1,
    zoom: Annotated[
        float,
        Field(ge=0, lt=1, description="How much larger or smaller images become at most."),
        Float(0.0, 0.3),
    ] = 0.1,
    shear: Annotated[
        float,
        Field(ge=0, le=1, description="The largest shear, in pixels per pixel."),
        Float(0.0, 0.3),
    ] = 0.0,
    fill: Fill = "edge",
) -> Any:
    """Turn, move, zoom and shear each image a little. A turn of up to 30 degrees changes no label."""
    import torch

    from hpo_vision.augmentations._warping import (
        chained,
        moving,
        shearing,
        turning,
        warped,
        zooming,
    )

    def augment(images: Any, labels: Any) -> Any:
        angle, x, y, slope, size = torch.empty(5, len(images)).uniform_(-1, 1)
        zoomed = (1 + zoom) ** size
        matrices = chained(
            chained(moving(x * move * shape.width, 0), moving(y * move * shape.height, 1)),
            chained(
                turning(angle * degrees),
                chained(shearing(slope * shear, 0), zooming(torch.stack([zoomed, zoomed], 1))),
            ),
        )
        return warped(images, matrices, fill), labels

    return augment
