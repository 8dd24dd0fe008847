"""The options that the drawn datasets share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

DrawSeed = Annotated[
    int, Field(ge=0, lt=2**32, description="Decides what is drawn; another one gives other images.")
]
TrainPerClass = Annotated[
    int, Field(ge=1, le=100_000, description="Images of each class to train on.")
]
ValPerClass = Annotated[
    int, Field(ge=1, le=100_000, description="Images of each class that trials are judged by.")
]
TestPerClass = Annotated[
    int,
    Field(ge=1, le=100_000, description="Images of each class that no trial sees, nor draws."),
]
DrawnSize = Annotated[
    int, Field(ge=16, le=1024, description="Height and width that images are drawn at, in pixels.")
]
