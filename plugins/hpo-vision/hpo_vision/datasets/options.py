"""The options that all datasets of images share, so that they mean the same everywhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hpo_core import Float, Operation

ImageSize = Annotated[
    int, Field(ge=1, le=4096, description="Height and width that images are resized to, in pixels.")
]
BatchSize = Annotated[
    int, Field(ge=2, le=65536, description="Images in a batch; the last one may be smaller.")
]
Channels = Annotated[Literal[1, 3], Field(description="1 for grey images, 3 for colour.")]
ValFraction = Annotated[
    float, Field(gt=0, lt=1, description="Part of all images that trials are judged by.")
]
TestFraction = Annotated[
    float, Field(gt=0, lt=1, description="Part of all images that no trial ever sees.")
]
SplitSeed = Annotated[
    int, Field(ge=0, lt=2**32, description="Decides which image is in which part.")
]
SamplerPower = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="0: each training image once per epoch; 1: each class as often; between: between.",
    ),
    Float(0.0, 1.0),
]
KeepInMemory = Annotated[
    bool, Field(description="Keep decoded images (a byte per pixel) instead of reading again.")
]
ClassGroups = Annotated[
    dict[str, list[str]] | None,
    Field(description="Groups of classes: `{vehicles: [car, ship], ...}`."),
]
Hierarchy = Annotated[
    str | None,
    Field(
        min_length=1, description="JSON or YAML file of `class: group` or `class: [group, ...]`."
    ),
]
LabelChanging = Annotated[
    list[Operation] | None,
    Field(description="Operations that no augmentation may do, for they change labels."),
]
