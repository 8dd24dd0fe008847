"""What a model's outputs mean, and how its inputs were scaled: `labels_mapping.json` beside weights and exports.

Datasets of people's own images have the labels of their training part as classes, sorted as text: "10" comes before
"2". The order is the numbers that models learn, so it is written down and never derived again.
"""

from __future__ import annotations

import json
from typing import Any

from hpo_core import Dataset


def labels_mapping(dataset: Dataset) -> dict[str, Any]:
    """The mapping of a dataset, to be written as JSON. Called when a trial starts, and by exports.

    `classes` are the names in the order of the outputs, `labels` the output of each name. An input is
    (pixel / 255 - mean) / std, of `channels` x `height` x `width`. Raises ValueError for two classes of the same name.
    """
    classes = list(dataset.classes)
    if len(set(classes)) != len(classes):
        twice = sorted({name for name in classes if classes.count(name) > 1})
        raise ValueError(f"several classes are called the same: {', '.join(twice)}")
    shape = dataset.shape
    return {
        "classes": classes,
        "labels": {name: label for label, name in enumerate(classes)},
        "groups": {name: list(members) for name, members in dataset.groups.items()},
        "input": {"channels": shape.channels, "height": shape.height, "width": shape.width},
        "normalization": {"mean": [0.5] * shape.channels, "std": [0.5] * shape.channels},
    }


def written(dataset: Dataset) -> str:
    """The mapping as the text of a file: the same for the same dataset."""
    return json.dumps(labels_mapping(dataset), indent=2, ensure_ascii=False) + "\n"
