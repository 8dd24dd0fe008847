"""The dataset `shapes20`: twenty kinds of drawn shapes in groups, for questions about many classes without a download.

Synthetic, small and quick. The kinds are grouped (polygons, stars, letters, ...): metrics by group mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_core import Dataset
from hpo_vision.datasets.changes import Changes, always
from hpo_vision.datasets.options import BatchSize
from hpo_vision.procedural.options import (
    DrawnSize,
    DrawSeed,
    TestPerClass,
    TrainPerClass,
    ValPerClass,
)

if TYPE_CHECKING:
    from hpo_vision.procedural.drawn import DrawnSet

CHANGES: Changes = {"flip": "a mirrored L is no letter"}


def shapes20(
    seed: int,
    *,
    image_size: DrawnSize = 32,
    batch_size: BatchSize = 64,
    train_per_class: TrainPerClass = 40,
    val_per_class: ValPerClass = 15,
    test_per_class: TestPerClass = 50,
    draw_seed: DrawSeed = 0,
) -> Dataset:
    """Coloured shapes of twenty classes; `seed` shuffles the training part. The test part has other colours.

    Called by an objective once per trial; a worker's trials share the images.
    """
    from hpo_vision.procedural.shape_drawing import GROUPS

    per_class = train_per_class, val_per_class, test_per_class
    return _drawn(image_size, draw_seed, per_class).dataset(batch_size, seed, GROUPS)


def _drawn(size: int, draw_seed: int, per_class: tuple[int, int, int]) -> DrawnSet:
    from hpo_vision.procedural.drawn import DrawnSet
    from hpo_vision.procedural.shape_drawing import SHAPES, shape

    return DrawnSet("shapes20", tuple(SHAPES), shape, size, draw_seed, per_class)


def _materialize(folder: Path, options: Mapping[str, Any]) -> None:
    train, val, test = (options[f"{part}_per_class"] for part in ("train", "val", "test"))
    _drawn(options["image_size"], options["draw_seed"], (train, val, test)).make(folder)


shapes20.changed_by = always(CHANGES)  # type: ignore[attr-defined]  # attributes that others look for
shapes20.materialize = _materialize  # type: ignore[attr-defined]
