"""The plugin `vision`: datasets of labelled images, and the objective that trains a classifier on one.

Registered by dotted paths whose modules are light: torch, Lightning and scikit-learn are imported by a worker when it
runs its first trial.
"""

from __future__ import annotations

from hpo_core import Register, hookimpl


@hookimpl
def register_datasets(register: Register) -> None:
    """Offer the datasets."""
    register("digits", "hpo_vision.digits:digits")
    register("image-folder", "hpo_vision.image_folder:image_folder")


@hookimpl
def register_objectives(register: Register) -> None:
    """Offer the objectives."""
    register("image-classification", "hpo_vision.classification:image_classification")
