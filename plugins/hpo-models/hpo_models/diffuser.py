"""A classifier of noisy images that knows how noisy they are, such as guides diffusion (Dhariwal & Nichol 2021).

The nearest to a classifier called Diffuser: diffusion models generate images, they tell no classes apart.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float, InputShape


def noised_resnet18(
    shape: InputShape,
    *,
    noise: Annotated[
        float,
        Field(
            ge=0, le=1, description="How far into a diffusion of 1000 steps training images may be."
        ),
        Float(0.0, 0.5),
    ] = 0.2,
) -> Any:
    """A ResNet-18 that sees each training image after a random number of steps of a diffusion, and is told the number.

    Called by an objective once per trial. In evaluation it sees images as they are.
    """
    from hpo_models._noised import NoisedClassifier
    from hpo_models.resnets import resnet18

    return NoisedClassifier(resnet18(shape), noise)
