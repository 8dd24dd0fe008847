"""A small network of complex numbers, after "Deep Complex Networks" (Trabelsi et al. 2018); nothing is its model."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import InputShape, Int


def complex_net(
    shape: InputShape,
    *,
    width: Annotated[
        int,
        Field(
            ge=1,
            le=512,
            description="Complex channels of the first of four stages; each doubles them.",
        ),
        Int(8, 64, log=True),
    ] = 32,
) -> Any:
    """Four stages of complex convolution, batch norm and ReLU, and a linear layer on what their magnitudes average to.

    Called by an objective once per trial.
    """
    from hpo_models._complex import ComplexNet

    return ComplexNet(shape.channels, shape.classes, width)
