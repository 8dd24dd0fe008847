"""The objective `image-classification`: trains a model on a dataset and reports after every epoch.

This module holds the signature, which is what a study file is checked against, and imports nothing heavy. The work is
in `hpo_vision.training.training`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_core import Component, Evaluation, Run
from hpo_vision.training import settings
from hpo_vision.training.settings import Device, Parts, Setup
from hpo_vision.training.suitability import check

if TYPE_CHECKING:
    from hpo_core.commands import Registry

METRICS = (
    "train_loss",
    "val_loss",
    "val_accuracy",
    "val_f1",
    "val_balanced_accuracy",
    "val_top5",
    "lr",
)


def image_classification(
    run: Run,
    *,
    epochs: settings.Epochs,
    dataset: settings.Dataset,
    model: settings.Model,
    augmentation: settings.Augmentation = Component("none"),
    optimizer: settings.Optimizer = Component("sgd"),
    loss: settings.Loss = Component("cross-entropy"),
    weight_decay_on: settings.DecayOn = "all",
    layer_decay: settings.LayerDecay = 1.0,
    lr_scheduler: settings.LrScheduler = Component("constant"),
    precision: settings.Precision = "auto",
    channels_last: settings.ChannelsLast = True,
    max_grad_norm: settings.MaxGradNorm = None,
    device: settings.OnDevice = "auto",
    ema_decay: settings.EmaDecay = None,
    deterministic: settings.Deterministic = True,
    checkpoint_every: settings.CheckpointEvery = 1,
    halve_on_out_of_memory: settings.HalveOnOutOfMemory = False,
    class_metrics: settings.ClassMetrics = True,
) -> None:
    """Train a classifier; report its losses, `val_accuracy` and more after each epoch.

    `train_loss` is the mean of `loss` over the epoch's images while the model changes, `val_*` are measured after it,
    `val_loss` as cross-entropy whatever `loss` is, so that trials compare. `val_f1` and `val_balanced_accuracy` are the
    means of the classes' F1 and recall, with `class_metrics` only; `val_top5` counts a label among the five most likely
    classes as right, where there are more than five. `lr` is the rate of the epoch's last step, that of the last layer
    where `layer_decay` slows the others (see `parameter_groups`). The dataset's part `test` is never asked for.

    With `class_metrics` each report says how each class does (`hpo_core.ClassReport`).

    The augmentation changes each batch of the training part once, after it was loaded and before it is cut. One that
    changes the labels of this dataset is refused (see `hpo_vision.training.suitability`).

    A checkpoint is saved before the report of each `checkpoint_every`-th epoch and of the last. A trial that is
    continued gives the same metrics as one that never paused, on the same device with as many threads and with
    `deterministic`; epochs after its last checkpoint are run again. A clone has its parent's weights and the tensors of
    its parent's optimizer, and everything else of its own (see `hpo_vision.training.inheritance`).

    An attempt that runs out of memory is lost and repeated. With `halve_on_out_of_memory` the next one trains with the
    same batches in half as large parts (see `slices`); otherwise as before, for its neighbours on the
    device may have ended meanwhile. Raises ValueError at once when the study's metric is none of these, when the
    augmentation is refused, or when the model is not the parent's, and HpoError when a batch cannot be halved again.
    """
    if run.trial.metric not in METRICS:
        raise ValueError(
            f"image-classification does not report the study's metric '{run.trial.metric}': "
            f"it reports {', '.join(METRICS)}"
        )
    from hpo_vision.training.training import fit

    parts = Parts(dataset, augmentation, model, loss, optimizer, lr_scheduler)
    setup = Setup(
        epochs=epochs,
        precision=precision,
        channels_last=channels_last,
        max_grad_norm=max_grad_norm,
        device=device,
        ema_decay=ema_decay,
        deterministic=deterministic,
        checkpoint_every=checkpoint_every,
        halve_on_out_of_memory=halve_on_out_of_memory,
        weight_decay_on=weight_decay_on,
        layer_decay=layer_decay,
        class_metrics=class_metrics,
    )
    fit(run, setup, parts)


# what `hpo validate` asks about the options together (`hpo_core.contracts`)
image_classification.check = check  # type: ignore[attr-defined]


def evaluate(
    folder: Path, config: Mapping[str, Any], seed: int, code_path: list[str] | None
) -> Evaluation:
    """How a model does on the dataset's part `test` (`hpo_core.contracts`); the work is in `evaluation`."""
    from hpo_vision.training.evaluation import measured

    return measured(folder, config, seed)


image_classification.evaluate = evaluate  # type: ignore[attr-defined]


def predict(
    registry: Registry,
    reference: str,
    paths: Sequence[str],
    *,
    top: int = 5,
    batch_size: int = 64,
    device: Device = "auto",
    max_megapixels: float = 20.0,
) -> Iterator[dict[str, Any]]:
    """A row for each image (`hpo_core.contracts`); the options are those of `hpo predict`."""
    from hpo_vision.prediction.calling import rows

    return rows(registry, reference, paths, top, batch_size, device, int(max_megapixels * 1e6))


def export(
    registry: Registry,
    reference: str,
    to: Path,
    *,
    normalize_inside: bool = False,
    temperature: bool = False,
    quantize: bool = False,
    max_loss: float = 0.01,
) -> dict[str, Any]:
    """Write a model to a folder (`hpo_core.contracts`); the options are those of `hpo export`."""
    from hpo_vision.export import exporting

    wanted = exporting.Wanted(normalize_inside, temperature, quantize, max_loss)
    return exporting.export(registry, reference, to, wanted)


# what `hpo_core.Model` does with the models of this objective
image_classification.predict = predict  # type: ignore[attr-defined]
image_classification.export = export  # type: ignore[attr-defined]

# what a study made from a text optimizes
image_classification.metric = ("val_accuracy", "maximize")  # type: ignore[attr-defined]

# what a worker's template imports before it forks: all that the trainings of a study share
image_classification.preload = (  # type: ignore[attr-defined]  # an attribute that executors look for
    "hpo_vision.training.training",
    "hpo_vision.datasets._folders",
    "sklearn.datasets",
    "sklearn.model_selection",
)
