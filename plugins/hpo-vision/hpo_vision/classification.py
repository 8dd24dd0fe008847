"""The objective `image-classification`: trains a model on a dataset and reports after every epoch.

This module holds the signature, which is what a study file is checked against, and imports nothing heavy. The work is
in `hpo_vision._training`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hpo_core import Component, Float, Kind, Run

METRICS = ("train_loss", "val_loss", "val_accuracy", "lr")

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def image_classification(
    run: Run,
    *,
    epochs: Annotated[int, Field(ge=1, le=100_000, description="Passes over the training part.")],
    dataset: Annotated[Component, Kind("datasets"), Field(description="What to learn from.")],
    model: Annotated[Component, Kind("models"), Field(description="What learns.")],
    optimizer: Annotated[
        Component, Kind("optimizers"), Field(description="How gradients become steps.")
    ] = Component("sgd"),
    loss: Annotated[
        Component, Kind("losses"), Field(description="What the training makes small.")
    ] = Component("cross-entropy"),
    weight_decay_on: Annotated[
        Literal["all", "weights"],
        Field(description="weights: biases and normalization layers do not decay."),
    ] = "all",
    layer_decay: Annotated[
        float,
        Field(gt=0, le=1, description="Factor of the learning rate from a layer to the one below."),
        Float(0.6, 1.0),
    ] = 1.0,
    lr_scheduler: Annotated[
        Component, Kind("lr_schedulers"), Field(description="The learning rate over the run.")
    ] = Component("constant"),
    precision: Annotated[
        Precision,
        Field(description="auto: bf16 or 16 bits mixed on CUDA, otherwise 32 bits."),
    ] = "auto",
    channels_last: Annotated[
        bool, Field(description="Memory format NHWC: faster convolutions on most devices.")
    ] = True,
    max_grad_norm: Annotated[
        float | None, Field(gt=0, description="Norm that gradients are clipped to; null: never.")
    ] = None,
    device: Annotated[
        Device, Field(description="What to train on; auto takes a GPU if there is one.")
    ] = "auto",
    ema_decay: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Validate and keep a moving average of the weights with this decay per step; null: none.",
        ),
    ] = None,
    deterministic: Annotated[
        bool,
        Field(description="Algorithms that give the same numbers each time, where torch has them."),
    ] = True,
    checkpoint_every: Annotated[
        int,
        Field(ge=1, description="Epochs between checkpoints; there is always one after the last."),
    ] = 1,
    halve_on_out_of_memory: Annotated[
        bool,
        Field(
            description="After each attempt that ran out of memory, halve what is computed at once "
            "and add up gradients: the same steps on the same batches."
        ),
    ] = False,
) -> None:
    """Train a classifier; report `train_loss`, `val_loss`, `val_accuracy` and `lr` after each epoch.

    `train_loss` is the mean of `loss` over the epoch's images while the model changes, `val_*` are measured after it,
    `val_loss` as cross-entropy whatever `loss` is, so that trials compare. `lr` is the rate of the epoch's last step,
    that of the last layer where `layer_decay` slows the others (see `hpo_vision._groups`). The dataset's part `test` is
    never asked for.

    A checkpoint is saved before the report of each `checkpoint_every`-th epoch and of the last. A trial that is
    continued gives the same metrics as one that never paused, on the same device with as many threads and with
    `deterministic`; epochs after its last checkpoint are run again. A clone has its parent's weights and the tensors of
    its parent's optimizer, and everything else of its own (see `hpo_vision._inheritance`).

    An attempt that runs out of memory is lost and repeated. With `halve_on_out_of_memory` the next one trains with the
    same batches in half as large parts (see `hpo_vision._slices`); otherwise as before, for its neighbours on the
    device may have ended meanwhile. Raises ValueError at once when the study's metric is none of these, or when the
    model is not the parent's, and HpoError when a batch cannot be halved again.
    """
    if run.trial.metric not in METRICS:
        raise ValueError(
            f"image-classification does not report the study's metric '{run.trial.metric}': "
            f"it reports {', '.join(METRICS)}"
        )
    from hpo_vision._groups import Grouping
    from hpo_vision._training import Setup, fit

    setup = Setup(
        epochs,
        precision,
        channels_last,
        max_grad_norm,
        device,
        ema_decay,
        deterministic,
        checkpoint_every,
        halve_on_out_of_memory,
        Grouping(weight_decay_on, layer_decay),
    )
    fit(run, setup, dataset, model, loss, optimizer, lr_scheduler)


# what a worker's template imports before it forks: all that the trainings of a study share
image_classification.preload = (  # type: ignore[attr-defined]  # an attribute that executors look for
    "hpo_vision._training",
    "hpo_vision._folders",
    "sklearn.datasets",
    "sklearn.model_selection",
)
