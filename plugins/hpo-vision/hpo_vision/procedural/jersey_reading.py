"""Opens the drawn jerseys as the dataset of an objective: the half of `jerseys` that imports torch."""

from __future__ import annotations

import functools
from pathlib import Path

from hpo_vision.datasets._annotations import read
from hpo_vision.datasets.batches import IndexedImages
from hpo_vision.datasets.rows import Complaints, arranged
from hpo_vision.procedural.jersey_files import PARTS, Jerseys


@functools.lru_cache(maxsize=2)
def opened(jerseys: Jerseys, folder: Path, size: int) -> IndexedImages:
    """The jerseys in a folder, made if they are missing, in no batches yet: a worker's trials share their images."""
    jerseys.make(folder)
    title = f"dataset 'jerseys', {folder}"
    complaints = Complaints(title)
    rows = {part: read(folder / part, folder, complaints) for part in PARTS}
    return arranged(title, rows, complaints).dataset(
        0, image_size=size, batch_size=1, channels=3, keep_in_memory=True
    )
