"""The dataset `csv`: images on disk, and a table that says what they show and perhaps which part they are in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo_core import Dataset
from hpo_vision.datasets import location
from hpo_vision.datasets.changes import as_told
from hpo_vision.datasets.options import (
    BatchSize,
    Channels,
    ClassGroups,
    Hierarchy,
    ImageSize,
    KeepInMemory,
    LabelChanging,
    SamplerPower,
    SplitSeed,
    TestFraction,
    ValFraction,
)


def csv(
    seed: int,
    *,
    path: Annotated[
        str, Field(min_length=1, description="The table; its first line names columns.")
    ],
    image_column: Annotated[
        str, Field(min_length=1, description="Column of the image's path, from the table's folder.")
    ] = "image",
    label_column: Annotated[str, Field(min_length=1, description="Column of the label.")] = "label",
    part_column: Annotated[
        str, Field(min_length=1, description="Column of train, val or test, if there is one.")
    ] = "part",
    image_size: ImageSize = 32,
    batch_size: BatchSize = 64,
    channels: Channels = 3,
    val_fraction: ValFraction = 0.15,
    test_fraction: TestFraction = 0.15,
    split_seed: SplitSeed = 0,
    keep_in_memory: KeepInMemory = True,
    sampler_power: SamplerPower = 0.0,
    groups: ClassGroups = None,
    hierarchy: Hierarchy = None,
    label_changing: LabelChanging = None,
) -> Dataset:
    """Images of a table, cut to a centred square; the classes are the training part's labels in alphabetical order.

    As `jsonl`, with a row of the table for a line: a table without the column of parts is divided by fractions, images
    lie in the table's folder or below it, and ValueError names every wrong line.
    """
    from hpo_vision.datasets._tables import find
    from hpo_vision.datasets.groups import grouped

    columns = image_column, label_column, part_column
    found = find(path, columns, val_fraction, test_fraction, split_seed)
    return found.dataset(
        seed,
        image_size=image_size,
        batch_size=batch_size,
        channels=channels,
        keep_in_memory=keep_in_memory,
        sampler_power=sampler_power,
        groups=grouped(found.classes, groups or {}, hierarchy),
    )


csv.changed_by = as_told  # type: ignore[attr-defined]  # attributes that others look for
csv.location = location.folder_of_table  # type: ignore[attr-defined]
