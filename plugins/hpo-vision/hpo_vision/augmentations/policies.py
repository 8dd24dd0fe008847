"""Augmentations that draw from a set of operations: `trivial-augment`, `rand-augment`, `aug-mix`.

The sets, and what each operation does at most, are torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hpo_core import Float, InputShape, Int, Operation
from hpo_vision.augmentations.operations import UPRIGHT, says
from hpo_vision.augmentations.options import Fill, Strength, Without

if TYPE_CHECKING:
    from hpo_vision.augmentations._policy import Policy, Reach

MIXED: tuple[Operation, ...] = ("shear", "crop", "rotate", "recolor", "invert")
WIDEST, USUAL = 135.0, 30.0


def _operations(options: Mapping[str, Any], degrees: float) -> list[Operation]:
    left_out = {*options["without"], *(["rotate"] if degrees <= UPRIGHT else [])}
    return [operation for operation in MIXED if operation not in left_out]


@says(lambda options: _operations(options, WIDEST * options["strength"]))
def trivial_augment(
    shape: InputShape,
    *,
    strength: Strength = 1.0,
    without: Without = [],  # noqa: B006  # never changed
    fill: Fill = "edge",
) -> Any:
    """One operation for each image, at a magnitude from nothing to far too much (Mueller & Hutter 2021, "wide").

    Rotates by up to 135 degrees, and inverts; both can be left out.
    """
    from hpo_vision.augmentations._policy import WIDE, uniform

    policy = _policy(WIDE, strength, without, fill)
    return lambda images, labels: (policy(images, uniform(len(images))), labels)


@says(lambda options: _operations(options, USUAL * options["magnitude"]))
def rand_augment(
    shape: InputShape,
    *,
    operations: Annotated[
        int,
        Field(ge=1, le=8, description="How many operations each image goes through."),
        Int(1, 4),
    ] = 2,
    magnitude: Annotated[
        float,
        Field(ge=0, le=1, description="How far each operation goes; the paper's 9 of 30 is 0.3."),
        Float(0.1, 1.0),
    ] = 0.3,
    without: Without = [],  # noqa: B006  # never changed
    fill: Fill = "edge",
) -> Any:
    """Several operations for each image, all at the same magnitude (Cubuk et al. 2020)."""
    from hpo_vision.augmentations._policy import RAND

    policy = _policy(RAND, magnitude, without, fill)

    def augment(images: Any, labels: Any) -> Any:
        full = images.new_ones(len(images), device="cpu")
        for _ in range(operations):
            images = policy(images, full)
        return images, labels

    return augment


@says(lambda options: _operations(options, USUAL * options["strength"]))
def aug_mix(
    shape: InputShape,
    *,
    strength: Strength = 0.3,
    width: Annotated[
        int, Field(ge=1, le=8, description="Chains of operations that are mixed."), Int(1, 4)
    ] = 3,
    depth: Annotated[
        int, Field(ge=1, le=8, description="The most operations in a chain."), Int(1, 4)
    ] = 3,
    alpha: Annotated[
        float,
        Field(gt=0, le=100, description="Of the distributions that the shares are drawn from."),
    ] = 1.0,
    without: Without = [],  # noqa: B006  # never changed
    fill: Fill = "edge",
) -> Any:
    """A mixture of each image with `width` chains of 1 to `depth` operations on it (Hendrycks et al. 2020).

    With all operations, brightness, contrast, saturation and sharpness among them. The image keeps a share of
    Beta(alpha, alpha); what is left is the chains', in shares of Dirichlet(alpha).
    """
    import torch

    from hpo_vision.augmentations._policy import RAND, uniform

    policy = _policy(RAND, strength, without, fill)

    def augment(images: Any, labels: Any) -> Any:
        count = len(images)
        shares = torch.distributions.Dirichlet(torch.full((width,), alpha)).sample((count,))
        kept = torch.distributions.Beta(alpha, alpha).sample((count,))
        change = torch.zeros_like(images)
        for share in shares.unbind(1):
            chain, length = images, torch.randint(1, depth + 1, (count,))
            for place in range(depth):
                chain = policy(chain, uniform(count), due=place < length)
            change += share.to(images)[:, None, None, None] * (chain - images)
        return images + (1 - kept).to(images)[:, None, None, None] * change, labels

    return augment


def _policy(reach: Reach, strength: float, without: list[Operation], fill: Any) -> Policy:
    from hpo_vision.augmentations._policy import Policy, steps

    offered = [step for step in steps(reach, fill, strength) if step.operation not in without]
    if not offered:
        raise ValueError(f"without: {', '.join(without)} leaves no operation to draw from")
    return Policy(offered)
