"""The dataset `jsonl`: images on disk, and files `annotations.jsonl` that say what they show.

A line is `{"image": "images/7.jpg", "suffix": "10", "metadata": {...}}`: the path from the annotations' folder, the
label, and what nobody here reads. All such files below a folder are taken together.
"""

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


def jsonl(
    seed: int,
    *,
    path: Annotated[
        str,
        Field(min_length=1, description="Folder of annotations.jsonl, or of train, val and test."),
    ],
    image_key: Annotated[
        str, Field(min_length=1, description="Key of the image's path.")
    ] = "image",
    label_key: Annotated[str, Field(min_length=1, description="Key of the label.")] = "suffix",
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
    """Annotated images, cut to a centred square; the classes are the training part's labels in alphabetical order.

    Called by an objective once per trial; `seed` shuffles the training part. Where `path` has folders train and val
    these are the parts, and perhaps test; else it is divided by fractions, all rows of an image into the same part.
    Rows that repeat another are left out, and so are those of other parts with a label that the training part has not;
    the log says how many. Raises FileNotFoundError when there is no such folder or no annotations, and ValueError with
    file and number of every wrong line: no JSON, no text, an image that is not there or lies outside of `path`.
    """
    from hpo_vision.datasets._annotations import find
    from hpo_vision.datasets.groups import grouped

    found = find(path, val_fraction, test_fraction, split_seed, image_key, label_key)
    return found.dataset(
        seed,
        image_size=image_size,
        batch_size=batch_size,
        channels=channels,
        keep_in_memory=keep_in_memory,
        sampler_power=sampler_power,
        groups=grouped(found.classes, groups or {}, hierarchy),
    )


jsonl.changed_by = as_told  # type: ignore[attr-defined]  # attributes that others look for
jsonl.location = location.folder  # type: ignore[attr-defined]
