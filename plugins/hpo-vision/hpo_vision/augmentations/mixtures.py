"""Augmentations that mix images of the same batch, and their labels with them: `mixup`, `cutmix`.

They return probabilities (N, classes) instead of labels, which every loss takes.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float, InputShape
from hpo_vision.augmentations.operations import does
from hpo_vision.augmentations.options import Probability

Alpha = Annotated[
    float,
    Field(
        ge=0,
        le=100,
        description="Of Beta(alpha, alpha), which shares are drawn from; 0: no mixing.",
    ),
    Float(0.1, 1.0),
]


@does("mix")
def mixup(shape: InputShape, *, alpha: Alpha = 0.2, probability: Probability = 1.0) -> Any:
    """Lay another image over each, and mix the labels by its share (Zhang et al. 2018)."""
    import torch

    from hpo_vision.augmentations._mixing import blended, shares

    def augment(images: Any, labels: Any) -> Any:
        kept = shares(len(images), alpha, probability)
        return blended(images, labels, kept, torch.randperm(len(images)), shape.classes)

    return augment


@does("mix")
def cutmix(shape: InputShape, *, alpha: Alpha = 1.0, probability: Probability = 1.0) -> Any:
    """Put a rectangle of another image into each, and mix the labels by its area (Yun et al. 2019)."""
    import torch

    from hpo_vision.augmentations._mixing import boxes, pasted, shares

    def augment(images: Any, labels: Any) -> Any:
        count, (height, width) = len(images), images.shape[-2:]
        side = (1 - shares(count, alpha, probability)).sqrt()
        sizes = side[:, None] * torch.tensor([height, width])
        inside = boxes(torch.rand(count, 2), sizes, height, width)
        return pasted(images, labels, inside, torch.randperm(count), shape.classes)

    return augment
