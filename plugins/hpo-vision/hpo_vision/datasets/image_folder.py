"""The dataset `image-folder`: images on disk, one folder per class.

Either `path` holds the folders of the classes and is divided by fractions, or it holds the folders train, val and
(optionally) test, which hold the folders of the classes and are taken as they are.
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


def image_folder(
    seed: int,
    *,
    path: Annotated[
        str,
        Field(min_length=1, description="Folder of class folders, or of train, val and test."),
    ],
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
    """Images resized and cut to a centred square; labels are numbered in alphabetical order of the folders.

    Called by an objective once per trial; `seed` shuffles the training part. A relative `path` starts from the folder
    in which `hpo` was started. The fractions and `split_seed` matter only where there are no folders train and val.
    Raises FileNotFoundError for a missing folder or one without images, ValueError for parts whose classes differ, for
    a group of classes that there are not and, while training, for a file that is not a readable image.
    """
    from hpo_vision.datasets._folders import find
    from hpo_vision.datasets.groups import grouped

    found = find(path, val_fraction, test_fraction, split_seed)
    return found.dataset(
        seed,
        image_size=image_size,
        batch_size=batch_size,
        channels=channels,
        keep_in_memory=keep_in_memory,
        sampler_power=sampler_power,
        groups=grouped(found.classes, groups or {}, hierarchy),
    )


image_folder.changed_by = as_told  # type: ignore[attr-defined]  # attributes that others look for
image_folder.location = location.folder  # type: ignore[attr-defined]
