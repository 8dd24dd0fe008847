"""The options that several augmentations share, so that they mean the same everywhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hpo_core import Float, Operation

Fill = Annotated[
    Literal["edge", "reflect", "grey", "black"],
    Field(
        description="What comes in from outside: the edge drawn out, the mirror image, a colour."
    ),
]
Probability = Annotated[
    float, Field(ge=0, le=1, description="Part of the images that it is done to."), Float(0.0, 1.0)
]
Strength = Annotated[
    float,
    Field(ge=0, le=1, description="How far all operations go; 0 changes nothing."),
    Float(0.1, 1.0),
]
Without = Annotated[
    list[Operation], Field(description="Kinds of operations to leave out, such as rotate.")
]
