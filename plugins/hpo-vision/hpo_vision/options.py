"""The options that all datasets of images share, so that they mean the same everywhere."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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
