"""What a validation says besides the loss: how often the network is right, over all images and for each class.

The guesses of an epoch are kept, a number per image, and scored once at its end: torchmetrics' bookkeeping for each
batch would cost more than the scoring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassF1Score, MulticlassPrecision, MulticlassRecall

from hpo_core import ClassReport, Dataset

TOP = 5
MOST_CLASSES = 2000
"""torchmetrics counts pairs of classes: with more classes than this there is no memory for them."""

MANY, FEW = 0.4, 0.2
"""A class draws too many guesses if it has more than the one part of them, and less than the other of the images."""


class Scores:
    """The guesses of a validation; `classes` is their number, and `per_class` whether each of them is scored."""

    def __init__(self, classes: int, per_class: bool) -> None:
        self._classes = classes
        self._metrics = _metrics(classes) if per_class else None
        self.forget()

    def forget(self) -> None:
        """Called when a validation begins."""
        self._guesses: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._among: list[Tensor] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: logits (N, classes) and labels (N,)."""
        self._guesses.append(logits.argmax(1))
        self._labels.append(labels)
        if self._classes > TOP:
            self._among.append((logits.topk(TOP).indices == labels[:, None]).any(1))

    def scored(self) -> Scored:
        """Called when a validation is over."""
        guesses, labels = torch.cat(self._guesses).cpu(), torch.cat(self._labels).cpu()
        overall = {"val_accuracy": _share(guesses == labels)}
        if self._among:
            overall["val_top5"] = _share(torch.cat(self._among))
        if self._metrics is None:
            return Scored(self._classes, guesses, labels, overall, None)
        self._metrics.reset()
        self._metrics.update(guesses, labels)
        found: dict[str, Tensor] = self._metrics.compute()
        overall["val_f1"] = float(found.pop("macro_f1"))
        overall["val_balanced_accuracy"] = float(found.pop("macro_recall"))
        return Scored(self._classes, guesses, labels, overall, found)


@dataclass(frozen=True)
class Scored:
    """A validation: the guesses and labels (N,) of all images, `overall` scores, and those `of_classes` by name."""

    classes: int
    guesses: Tensor
    labels: Tensor
    overall: dict[str, float]
    of_classes: dict[str, Tensor] | None

    def report(self, data: Dataset) -> ClassReport | None:
        """The scores of each class, for a report; None where they were not wanted."""
        if self.of_classes is None:
            return None
        index = {name: number for number, name in enumerate(data.classes)}
        return ClassReport(
            classes=tuple(data.classes),
            **{name: tuple(scores.tolist()) for name, scores in self.of_classes.items()},
            confusion=self._confusion(),
            groups={
                name: tuple(index[member] for member in members)
                for name, members in data.groups.items()
            },
        )

    def favoured(self) -> tuple[int, float, float] | None:
        """A class that draws too many guesses, with its shares of the guesses and of the labels; or None."""
        guesses, labels = (
            torch.bincount(each, minlength=self.classes) / len(each)
            for each in (self.guesses, self.labels)
        )
        most = int(guesses.argmax())
        drawn, present = float(guesses[most]), float(labels[most])
        return (most, drawn, present) if drawn > MANY and present < FEW else None

    def _confusion(self) -> tuple[tuple[int, int, int], ...]:
        """(label, guess, images) in their order; of 100 x 100 pairs of classes most never come up."""
        pairs, counts = torch.unique(self.labels * self.classes + self.guesses, return_counts=True)
        return tuple(
            (pair // self.classes, pair % self.classes, count)
            for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
        )


def _metrics(classes: int) -> MetricCollection:
    """Those of each class and their means; they share what they count. Raises ValueError for too many classes."""
    if classes > MOST_CLASSES:
        raise ValueError(
            f"class metrics are for up to {MOST_CLASSES} classes, not {classes}: set class_metrics to false"
        )
    each: Any = {"num_classes": classes, "average": None, "validate_args": False}
    mean: Any = each | {"average": "macro"}
    return MetricCollection(
        {
            "precision": MulticlassPrecision(**each),
            "recall": MulticlassRecall(**each),
            "f1": MulticlassF1Score(**each),
            "macro_recall": MulticlassRecall(**mean),
            "macro_f1": MulticlassF1Score(**mean),
        }
    )


def _share(hits: Tensor) -> float:
    return float(hits.sum()) / len(hits)
