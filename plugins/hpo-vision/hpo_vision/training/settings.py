"""The options of `image-classification`: what a study file may say, and how they travel to the training.

Light: a study file is checked against the annotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from hpo_core import Component, Float, Kind

Device = Literal["auto", "cpu", "cuda", "mps"]
Numbers = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
Decaying = Literal["all", "weights"]

Epochs = Annotated[int, Field(ge=1, le=100_000, description="Passes over the training part.")]
Dataset = Annotated[Component, Kind("datasets"), Field(description="What to learn from.")]
Model = Annotated[Component, Kind("models"), Field(description="What learns.")]
Augmentation = Annotated[
    Component,
    Kind("augmentations"),
    Field(description="What is done to training images; refused where it changes labels."),
]
Optimizer = Annotated[
    Component, Kind("optimizers"), Field(description="How gradients become steps.")
]
Loss = Annotated[Component, Kind("losses"), Field(description="What the training makes small.")]
LrScheduler = Annotated[
    Component, Kind("lr_schedulers"), Field(description="The learning rate over the run.")
]
DecayOn = Annotated[
    Decaying, Field(description="weights: biases and normalization layers do not decay.")
]
LayerDecay = Annotated[
    float,
    Field(gt=0, le=1, description="Factor of the learning rate from a layer to the one below."),
    Float(0.6, 1.0),
]
Precision = Annotated[
    Numbers, Field(description="auto: bf16 or 16 bits mixed on CUDA, otherwise 32 bits.")
]
ChannelsLast = Annotated[
    bool, Field(description="Memory format NHWC: faster convolutions on most devices.")
]
MaxGradNorm = Annotated[
    float | None, Field(gt=0, description="Norm that gradients are clipped to; null: never.")
]
OnDevice = Annotated[
    Device, Field(description="What to train on; auto takes a GPU if there is one.")
]
EmaDecay = Annotated[
    float | None,
    Field(
        gt=0,
        lt=1,
        description="Validate and keep a moving average of the weights with this decay per step; null: none.",
    ),
]
Deterministic = Annotated[
    bool,
    Field(description="Algorithms that give the same numbers each time, where torch has them."),
]
CheckpointEvery = Annotated[
    int, Field(ge=1, description="Epochs between checkpoints; there is always one after the last.")
]
HalveOnOutOfMemory = Annotated[
    bool,
    Field(
        description="After each attempt that ran out of memory, halve what is computed at once "
        "and add up gradients: the same steps on the same batches."
    ),
]
ClassMetrics = Annotated[
    bool,
    Field(
        description="Measure precision, recall and F1 of each class, and what is mistaken for what."
    ),
]


@dataclass(frozen=True)
class Parts:
    """The components of a training."""

    dataset: Component
    augmentation: Component
    model: Component
    loss: Component
    optimizer: Component
    lr_scheduler: Component


@dataclass(frozen=True)
class Setup:
    """The options that are plain values, under their names in a study file."""

    epochs: int
    precision: Numbers = "auto"
    channels_last: bool = True
    max_grad_norm: float | None = None
    device: Device = "auto"
    ema_decay: float | None = None
    deterministic: bool = True
    checkpoint_every: int = 1
    halve_on_out_of_memory: bool = False
    weight_decay_on: Decaying = "all"
    layer_decay: float = 1.0
    class_metrics: bool = True
