"""The plugin `vision`: datasets of labelled images, and the objective that trains a classifier on one.

Registered by dotted paths whose modules are light: torch, Lightning and scikit-learn are imported by a worker when it
runs its first trial.
"""

from __future__ import annotations

from hpo_core import Register, hookimpl
from hpo_vision.datasets.torchvision_table import SOURCES


@hookimpl
def register_datasets(register: Register) -> None:
    """Offer the datasets."""
    register(
        "digits", "hpo_vision.datasets.digits:digits", tier=1
    )  # what a text that names none means
    register("image-folder", "hpo_vision.datasets.image_folder:image_folder")
    register("jsonl", "hpo_vision.datasets.jsonl:jsonl")
    register("csv", "hpo_vision.datasets.csv_table:csv")
    register("cifar10", "hpo_vision.datasets.torchvision_sets:CIFAR10")
    register("cifar20", "hpo_vision.datasets.torchvision_sets:cifar20")
    for source in SOURCES:
        register(
            f"torchvision/{source.name}", f"hpo_vision.datasets.torchvision_sets:{source.name}"
        )
    register("logos", "hpo_vision.procedural.logos:logos")
    register("jerseys", "hpo_vision.procedural.jerseys:jerseys")
    register("shapes20", "hpo_vision.procedural.shapes20:shapes20")


@hookimpl
def register_augmentations(register: Register) -> None:
    """Offer what is done to training images."""
    modules = {
        "plain": ("none", "color-jitter", "erasing"),
        "placing": ("flip", "crop", "resized-crop", "affine"),
        "policies": ("trivial-augment", "rand-augment", "aug-mix"),
        "mixtures": ("mixup", "cutmix"),
        "degradation": ("degrade",),
    }
    for module, names in modules.items():
        for name in names:
            register(name, f"hpo_vision.augmentations.{module}:{name.replace('-', '_')}")
    register("sequence", "hpo_vision.augmentations.sequence:Sequence")


@hookimpl
def register_objectives(register: Register) -> None:
    """Offer the objectives."""
    register("image-classification", "hpo_vision.training.classification:image_classification")


@hookimpl
def register_commands(register: Register) -> None:
    """Offer `hpo export`, `hpo predict` and words of `hpo data`."""
    for word in ("stats", "verify", "materialize"):
        register(f"data {word}", f"hpo_vision.inspection.commands:{word}")
    register("export", "hpo_vision.export.command:export")
    register("predict", "hpo_vision.prediction.command:predict")
