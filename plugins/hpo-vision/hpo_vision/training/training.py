"""Trains one trial: builds the parts and hands them to Lightning.

The half of `image_classification` that imports torch; called by it, in a worker.

An epoch's randomness is a function of the trial's seed and the epoch's number: the order of the images, and the
generators behind dropout and augmentation, which are seeded anew when an epoch begins. So no checkpoint has to hold
random states, and an epoch gives the same numbers whoever runs it and wherever the run was paused before.
"""

from __future__ import annotations

import gc
import logging
from typing import Any

from lightning.pytorch import seed_everything

from hpo_core import Batches, Dataset, Run
from hpo_vision.training.checkpoints import FolderIO
from hpo_vision.training.classifier import Classifier
from hpo_vision.training.epochs import Epochs
from hpo_vision.training.labels import labels_of
from hpo_vision.training.log import logged
from hpo_vision.training.machine import repeatable
from hpo_vision.training.reporting import EpochReporter
from hpo_vision.training.scores import Scores
from hpo_vision.training.settings import Parts, Setup
from hpo_vision.training.suitability import refuse
from hpo_vision.training.trainer import make_trainer, train


def fit(run: Run, setup: Setup, parts: Parts) -> None:
    """Train as `image_classification` says. Everything random comes from the trial's seed."""
    with repeatable(setup.deterministic), logged(run.trial.directory):
        seed_everything(run.trial.seed, verbose=False)
        data: Dataset = parts.dataset.build(run.trial.seed)
        _check_metric(run.trial.metric, data, setup)
        order, val = Epochs(_batches(data, "train")), _batches(data, "val")
        classifier = _classifier(run, setup, parts, data, len(order))
        reporter = EpochReporter(run, setup, data, order, parts.model)
        trainer = make_trainer(setup, run.trial.directory, reporter, FolderIO())
        try:
            train(trainer, classifier, order, val, run.restored.path if run.restored else None)
        finally:
            # trainer and module refer to each other: without this a warm worker keeps several trials' weights
            del trainer, classifier
            gc.collect()


def _check_metric(metric: str, data: Dataset, setup: Setup) -> None:
    """Raise ValueError when the study's metric is one that this training will not report."""
    classes = data.shape.classes
    if metric == "val_top5" and classes <= 5:
        raise ValueError(f"there is no val_top5 with {classes} classes: take val_accuracy")
    if metric in ("val_f1", "val_balanced_accuracy") and not setup.class_metrics:
        raise ValueError(f"there is no {metric} without class metrics: set class_metrics to true")


def _classifier(run: Run, setup: Setup, parts: Parts, data: Dataset, steps: int) -> Classifier:
    """What is trained, with `steps` in an epoch. Raises ValueError when the augmentation changes labels."""
    model = parts.model.build(data.shape)  # first: its weights come from the generator as it is
    augment = parts.augmentation.build(data.shape)
    refuse(parts.dataset, parts.augmentation, augment)
    return Classifier(
        model,
        parts.loss.build(labels_of(data, setup.epochs)),
        parts.optimizer,
        parts.lr_scheduler,
        setup=setup,
        augment=augment,
        scores=Scores(data.shape.classes, setup.class_metrics),
        steps_per_epoch=steps,
        trial=run.trial.number,
        halvings=_halvings(run, setup),
    )


def _halvings(run: Run, setup: Setup) -> int:
    """How often this attempt halves its batches: once for each one before it that was lost for want of memory."""
    halvings = run.trial.out_of_memory if setup.halve_on_out_of_memory else 0
    if halvings:
        logging.getLogger(__name__).warning(
            "out of memory before: each batch is cut into %d parts, whose gradients add up",
            2**halvings,
        )
    return halvings


def _batches(data: Dataset, part: Any) -> Batches:
    batches = data.batches(part)
    if not len(batches):
        raise ValueError(f"the dataset's part '{part}' has no batch")
    return batches
