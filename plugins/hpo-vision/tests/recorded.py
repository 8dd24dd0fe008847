"""The objective on a few points and components that are recorded when they are built: what its tests drive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hpo_vision.datasets.batches import IndexedImages
from hpo_vision.training.classification import image_classification
from torch import nn

from hpo_core import CONTINUE, Checkpoint, Component, Decision, InputShape, Report, Trial
from hpo_core import options as hpo_options
from hpo_core.execution import LiveRun
from hpo_core.testing.training import built, checked, installed_catalog


def network(shape: InputShape) -> nn.Module:
    """A linear classifier: fast, and learns."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(shape.channels * shape.height * shape.width, shape.classes)
    )


def points(seed: int, *, flip_val: bool = False) -> IndexedImages:
    """Two classes that one pixel tells apart; 12 to train on, 8 to validate."""
    labels = torch.arange(20) % 2
    images = (labels.float() * 2 - 1).reshape(20, 1, 1, 1) + torch.arange(20.0).reshape(
        -1, 1, 1, 1
    ) / 100
    told = labels.clone()
    if flip_val:
        told[12:] = 1 - told[12:]
    parts: Any = {"train": np.arange(12), "val": np.arange(12, 20)}
    shape = InputShape(1, 1, 1, 2)
    return IndexedImages(shape, ("no", "yes"), parts, told, lambda i: images[i], 5, seed)


def component(kind: str, tree: Any) -> Component:
    """A component as in a study file."""
    catalog = installed_catalog()
    return hpo_options.bind(catalog, kind, checked(kind, tree))


def factory_of(tree: Any) -> Any:
    """What an LR scheduler as in a study file is made by."""
    name = tree if isinstance(tree, str) else tree["name"]
    return installed_catalog().entry("lr_schedulers", name).factory


@dataclass
class Calls:
    """Runs the objective on components that are recorded when they are built."""

    directory: Path
    metric: str = "val_accuracy"
    reports: list[Report] = field(default_factory=list)
    built: list[tuple[str, Any]] = field(default_factory=list)
    answer: Callable[[Report], Decision] = lambda report: CONTINUE
    number: int = 0
    parent: int | None = None
    out_of_memory: int = 0
    checkpoints: tuple[Checkpoint, ...] = ()

    def component(
        self, kind: str, build: Callable[..., Any], factory: Callable[..., Any] | None = None
    ) -> Component:
        def recorded(*positional: Any) -> Any:
            made = build(*positional)
            self.built.append((kind, made))
            return made

        return Component(kind, {"an": "option"}, recorded, factory)

    def send(self, report: Report) -> Decision:
        self.reports.append(report)
        return self.answer(report)

    def __call__(
        self,
        epochs: int = 3,
        *,
        optimizer: Any = None,
        lr_scheduler: Any = "cosine",
        loss: Any = "cross-entropy",
        dataset: Any = points,
        model: Any = network,
        augmentation: Any = "none",
        **options: Any,
    ) -> list[Report]:
        """Run an attempt; `optimizer` and `lr_scheduler` are as in a study file, or the latter a factory."""
        schedule = lr_scheduler if callable(lr_scheduler) else factory_of(lr_scheduler)
        goal: Any = "minimize" if self.metric.endswith("loss") else "maximize"
        trial = Trial(
            self.number,
            1,
            "",
            {},
            {},
            5 + self.number,
            self.metric,
            goal,
            str(self.directory),
            checkpoints=self.checkpoints,
            parent=self.parent,
            out_of_memory=self.out_of_memory,
        )
        optimizer = optimizer or {"name": "sgd", "lr": 0.5, "momentum": 0.0}
        image_classification(
            LiveRun(trial, self.send),
            epochs=epochs,
            dataset=self.component("datasets", dataset, dataset),
            model=self.component("models", model),
            augmentation=component("augmentations", augmentation),
            loss=self.component("losses", lambda labels: built("losses", loss, labels)),
            optimizer=self.component(
                "optimizers", lambda params: built("optimizers", optimizer, params)
            ),
            lr_scheduler=self.component(
                "lr_schedulers",
                lambda *given: (
                    lr_scheduler(*given)
                    if callable(lr_scheduler)
                    else built("lr_schedulers", lr_scheduler, *given)
                ),
                schedule,
            ),
            device="cpu",
            **options,
        )
        return self.reports

    def made(self, kind: str) -> Any:
        [only] = [made for name, made in self.built if name == kind]
        return only
