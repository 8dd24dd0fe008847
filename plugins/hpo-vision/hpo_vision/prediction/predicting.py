"""Files to rows, batch by batch: nothing is kept of images whose rows were told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from hpo_vision.datasets.pictures import shown
from hpo_vision.prediction.choices import Measure, Truth
from hpo_vision.prediction.found import Found
from hpo_vision.prediction.models import Model
from hpo_vision.prediction.reading import Picture, Reader
from hpo_vision.prediction.rows import Row, judged


def predictions(
    model: Model,
    reader: Reader,
    files: Iterable[Found],
    batch_size: int,
    top: int,
    truth: Truth | None = None,
) -> Iterator[list[Row]]:
    """Rows for all files, in their order, some at a time; `batch_size` images go through the model at once."""
    for pictures in reader.batches(files, batch_size):
        pixels = [picture.pixels for picture in pictures if picture.pixels is not None]
        answers = iter(_answers(model, pixels, top))
        yield [
            _row(picture, truth, next(answers) if picture.error is None else picture.error)
            for picture in pictures
        ]


Answer = tuple[dict[str, float], dict[Measure, float]]


def _answers(model: Model, pixels: list[Tensor], top: int) -> Iterator[Answer | str]:
    """What is said of each image, or why nothing can be."""
    if not pixels:
        return
    logits = model.logits(torch.stack(pixels))
    numbers = torch.isfinite(logits).all(1).tolist()
    for answer, fine in zip(judged(logits.nan_to_num(), model.classes, top), numbers, strict=True):
        yield answer if fine else "the model's answer is not finite"


def _row(picture: Picture, truth: Truth | None, answer: Answer | str) -> Row:
    said = folder_of(picture.path) if truth == "folder" else None
    if isinstance(answer, str):
        return Row(picture.path, truth=said, error=answer)
    likeliest, uncertainty = answer
    return Row(picture.path, next(iter(likeliest)), likeliest, uncertainty, said)


def folder_of(path: str) -> str:
    """The name of the folder that a file lies in."""
    return shown(os.path.basename(os.path.dirname(os.path.abspath(path))))
