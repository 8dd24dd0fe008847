"""The augmentation `degrade`: what happens to pictures between a stadium and a screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hpo_core import InputShape
from hpo_vision.augmentations.operations import does
from hpo_vision.augmentations.options import Strength

if TYPE_CHECKING:
    from torch import Tensor

Share = Annotated[float, Field(ge=0, le=1, description="Part of the images that it is done to.")]


@does("blur")
def degrade(
    shape: InputShape,
    *,
    strength: Strength = 1.0,
    blur: Share = 0.3,
    coarse: Share = 0.5,
    noise: Share = 0.5,
    jpeg: Share = 0.5,
) -> Any:
    """Blur, reduce and enlarge, add noise, compress; in this order, each to its share of the images.

    At full strength blurs have a standard deviation of up to 1.5 pixels, images are reduced to between 0.2 and 0.6 of
    their sides, noise has one of 5 to 30 of 255, and JPEG a quality of 10 to 60. Compressing is done on the CPU.
    """
    from hpo_vision.augmentations import _degrading as work
    from hpo_vision.augmentations._degrading import drawn

    if jpeg and shape.channels not in (1, 3):
        raise ValueError(f"degrade: JPEG has 1 or 3 channels, not {shape.channels}: set jpeg to 0")
    stages: tuple[tuple[Callable[[Tensor, Tensor], Tensor], float, float, float, float], ...] = (
        # what, for how many, its amount for no strength, and from where to where for all of it
        (work.blurred, blur, 0.0, 0.0, 1.5),
        (work.coarsened, coarse, 1.0, 0.2, 0.6),
        (work.noisy, noise, 0.0, 5 / 255, 30 / 255),
        (work.compressed, jpeg, 100.0, 10.0, 60.0),
    )

    def augment(images: Any, labels: Any) -> Any:
        pixels = images * 0.5 + 0.5
        for act, share, nothing, low, high in stages:
            amounts = nothing + strength * (drawn(len(images), low, high) - nothing)
            due = drawn(len(images), 0, 1) < share
            pixels = act(pixels, amounts.where(due, amounts.new_tensor(nothing)))
        return pixels * 2 - 1, labels

    return augment
