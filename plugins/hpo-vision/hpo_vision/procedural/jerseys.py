"""The dataset `jerseys`: drawn crops of players' backs, 43 labels with a long tail, as files with `annotations.jsonl`.

Synthetic. The files are made when they are first needed, and read like anybody's: see `hpo_vision.datasets.jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hpo_core import Dataset
from hpo_vision.datasets.changes import Changes, always
from hpo_vision.datasets.options import BatchSize, ImageSize, SamplerPower
from hpo_vision.procedural.options import DrawSeed

CHANGES: Changes = {
    "flip": "a mirrored number is none",
    "rotate": "a 6 turned upside down is a 9",
    "erase": "a 12 without its 2 is a 1",
}


def jerseys(
    seed: int,
    *,
    path: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Folder of the files, made if it is missing; null: runs/data/jerseys-SEED-SCALE.",
        ),
    ] = None,
    scale: Annotated[
        float,
        Field(gt=0, le=100, description="1: from 257 down to 4 images of a number to train on."),
    ] = 1.0,
    draw_seed: DrawSeed = 0,
    image_size: ImageSize = 96,
    batch_size: BatchSize = 64,
    sampler_power: SamplerPower = 0.0,
) -> Dataset:
    """Numbers "0", "00" and 40 from "1" to "99", and "" where none can be read; crops of 96 pixels, resized.

    Called by an objective once per trial; `seed` shuffles the training part, and a worker's trials share what was read.
    A relative `path` starts from the folder in which `hpo` was started. Rows of the test part with numbers that
    training has not are left out, and the log says so. Raises ValueError where `path` holds something else, or jerseys
    of another scale or seed.
    """
    from hpo_vision.procedural.jersey_files import Jerseys
    from hpo_vision.procedural.jersey_reading import opened

    folder = Path(path or f"runs/data/jerseys-{draw_seed}-{scale:g}").expanduser()
    found = opened(Jerseys(draw_seed, scale), folder.absolute(), image_size)
    return replace(found, seed=seed, batch_size=batch_size, sampler_power=sampler_power)


def _materialize(folder: Path, options: Mapping[str, Any]) -> None:
    from hpo_vision.procedural.jersey_files import Jerseys

    Jerseys(options["draw_seed"], options["scale"]).make(folder)


jerseys.changed_by = always(CHANGES)  # type: ignore[attr-defined]  # attributes that others look for
jerseys.materialize = _materialize  # type: ignore[attr-defined]
