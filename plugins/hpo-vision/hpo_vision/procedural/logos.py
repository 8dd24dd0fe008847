"""The dataset `logos`: drawn logos of four classes: flat colour, flowing colour, letters, layers.

Synthetic, and hard on purpose in places (see `logo_drawing`): a random forest on the pixels gets two thirds right.
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

CHANGES: Changes = {
    "flip": "mirrored letters are no text",
    "mix": "two simple logos laid over each other are a complex one",
    "recolor": "with fewer colours or less contrast a weak gradient is a flat shape",
}


def logos(
    seed: int,
    *,
    image_size: DrawnSize = 48,
    batch_size: BatchSize = 64,
    train_per_class: TrainPerClass = 140,
    val_per_class: ValPerClass = 40,
    test_per_class: TestPerClass = 400,
    draw_seed: DrawSeed = 0,
) -> Dataset:
    """Logos of the classes complex, gradient, simple and text, drawn; `seed` shuffles the training part.

    The validation part is drawn like the training part. The test part has other colours and fonts. Called by an
    objective once per trial; a worker's trials share the images.
    """
    per_class = train_per_class, val_per_class, test_per_class
    return _drawn(image_size, draw_seed, per_class).dataset(batch_size, seed)


def _drawn(size: int, draw_seed: int, per_class: tuple[int, int, int]) -> DrawnSet:
    from hpo_vision.procedural.drawn import DrawnSet
    from hpo_vision.procedural.logo_drawing import CLASSES, logo

    return DrawnSet("logos", CLASSES, logo, size, draw_seed, per_class)


def _materialize(folder: Path, options: Mapping[str, Any]) -> None:
    train, val, test = (options[f"{part}_per_class"] for part in ("train", "val", "test"))
    per_class = train, val, test
    _drawn(options["image_size"], options["draw_seed"], per_class).make(folder)


logos.changed_by = always(CHANGES)  # type: ignore[attr-defined]  # attributes that others look for
logos.materialize = _materialize  # type: ignore[attr-defined]
