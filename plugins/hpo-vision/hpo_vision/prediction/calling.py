"""Predictions for a program: the rows of `hpo predict`, as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hpo_core.commands import Registry
from hpo_vision.prediction.found import Search
from hpo_vision.prediction.models import loaded
from hpo_vision.prediction.predicting import predictions
from hpo_vision.prediction.reading import Reader, quiet
from hpo_vision.training.settings import Device


def rows(
    registry: Registry,
    reference: str,
    paths: Sequence[str],
    top: int,
    batch_size: int,
    device: Device,
    most_pixels: int,
) -> Iterator[dict[str, Any]]:
    """A row for each image that `paths` name, in JSON types. Raises UsageError when there is none."""
    search = Search(paths).checked()
    model = loaded(reference, registry.storage, device)
    reader = Reader(model.shape, most_pixels)
    with quiet():
        for batch in predictions(model, reader, search, batch_size, top):
            yield from (row.document() for row in batch)
