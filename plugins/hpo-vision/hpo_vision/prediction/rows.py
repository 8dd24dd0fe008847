"""What is said of an image, and how a row of it is written: as JSON, or as a line of a table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hpo_vision.datasets.pictures import shown
from hpo_vision.prediction.choices import Format, Measure

MEASURES: tuple[Measure, ...] = ("least-confidence", "margin", "entropy")


@dataclass(frozen=True)
class Row:
    """A prediction, or why there is none (`error`).

    `probabilities` has the likeliest classes first, `uncertainty` is told by each measure: from 0, where the model is
    sure, to 1. `truth` is the class that the image is said to have, `explanation` the file that shows why.
    """

    path: str
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    uncertainty: dict[Measure, float] = field(default_factory=dict)
    truth: str | None = None
    explanation: str | None = None
    error: str | None = None

    def document(self) -> dict[str, Any]:
        """The row in JSON types, without what there is not."""
        found: dict[str, Any] = {"path": shown(self.path)}
        if self.error is None:
            found["label"] = self.label
            found["probability"] = next(iter(self.probabilities.values()))
            found["probabilities"] = self.probabilities
            found["uncertainty"] = self.uncertainty
        for name in ("truth", "explanation", "error"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        return found


def said(path: str) -> str:
    """A path on a line for people: what would end the line, or move a terminal's cursor, is escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in shown(path)
    )


def judged(
    logits: Tensor, classes: Sequence[str], top: int
) -> list[tuple[dict[str, float], dict[Measure, float]]]:
    """Of each row of logits (B, classes) the `top` likeliest classes, and how unsure the model is.

    Least confidence is 1 - p1, margin 1 - (p1 - p2), entropy -sum p ln p / ln(classes), with p1 and p2 the largest
    probabilities (Settles 2009, "Active learning literature survey", 3.1): for all of them more is more unsure.
    """
    shares = logits.double().softmax(1)
    values, labels = shares.topk(min(max(top, 2), len(classes)), dim=1)
    measures = torch.stack(
        (
            1 - values[:, 0],
            1 - (values[:, 0] - values[:, 1]),
            -torch.xlogy(shares, shares).sum(1) / math.log(len(classes)),
        ),
        dim=1,
    )
    likeliest = (
        {classes[label]: value for label, value in list(zip(labels, values, strict=True))[:top]}
        for labels, values in zip(labels.tolist(), values.tolist(), strict=True)
    )
    unsure = (dict(zip(MEASURES, row, strict=True)) for row in measures.clamp(0, 1).tolist())
    return list(zip(likeliest, unsure, strict=True))


class Lines:
    """Rows as text, in one of the formats; `head` comes before the first."""

    def __init__(self, format: Format, top: int) -> None:
        self._format = format
        self._top = top

    @property
    def head(self) -> str:
        """The names of a table's columns, or nothing."""
        return "" if self._format == "jsonl" else _csv(self._columns())

    def line(self, row: Row) -> str:
        """A row, with its end of line."""
        if self._format == "jsonl":
            return json.dumps(row.document(), ensure_ascii=False, allow_nan=False) + "\n"
        cells: dict[str, Any] = {"path": shown(row.path), "error": row.error}
        for place, (label, share) in enumerate(row.probabilities.items()):
            cells |= {_nth("label", place): label, _nth("probability", place): share}
        cells |= {measure.replace("-", "_"): each for measure, each in row.uncertainty.items()}
        cells |= {"truth": row.truth, "explanation": row.explanation}
        return _csv([cells.get(column) for column in self._columns()])

    def _columns(self) -> list[str]:
        ranks = [_nth(name, n) for n in range(self._top) for name in ("label", "probability")]
        measures = [measure.replace("-", "_") for measure in MEASURES]
        return ["path", *ranks, *measures, "truth", "explanation", "error"]


def _nth(name: str, place: int) -> str:
    return f"{name}_{place + 1}" if place else name


def _csv(cells: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
