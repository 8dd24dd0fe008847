"""From the rows of annotations to labelled pictures: rows are not images, and labels not always known.

A row says that a file shows a label. One that says what another has said is left out. A file that rows label
differently counts once for each label, and all of it is in one part. The classes are those of the training part alone,
sorted as text ("10" < "2"): a row of another part with another label is left out, since no model could ever be right
about it. What was left out is counted and told.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo_core import Part
from hpo_vision.datasets.found import PARTS, FoundPictures
from hpo_vision.datasets.pictures import Files
from hpo_vision.datasets.splits import Indices, split

Rows = dict[str, list[str]]
"""The labels of each file, in the order of the rows."""


@dataclass(frozen=True)
class Row:
    """One annotation: the image's file, without links, its label, and where that stands (`train/x.jsonl:17`)."""

    image: str
    label: str
    place: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Complaints:
    """What is wrong with a file of annotations, all of it at once."""

    title: str
    texts: list[str] = field(default_factory=list)
    most: int = 20

    def add(self, place: str, text: str) -> None:
        """Note that a line is wrong."""
        self.texts.append(f"{place}: {text}")

    def check(self) -> None:
        """Raise ValueError if there is anything to complain of."""
        if self.texts:
            more = len(self.texts) - self.most
            lines = self.texts[: self.most] + ([f"... and {more} more"] if more > 0 else [])
            raise ValueError("\n  ".join([f"{self.title}: these lines are wrong:", *lines]))


def arranged(
    title: str,
    rows: Mapping[Part, Iterable[Row]],
    complaints: Complaints,
) -> FoundPictures:
    """The pictures of rows that say which part they are in. Raises ValueError for a part without pictures."""
    remarks: list[str] = []
    merged = {part: _merged(part, rows[part], remarks) for part in PARTS if part in rows}
    complaints.check()
    classes = tuple(
        sorted({label for labels in merged.get("train", {}).values() for label in labels})
    )
    known = {
        part: _known(part, found, classes, remarks) if part != "train" else found
        for part, found in merged.items()
    }
    for part in PARTS[:2]:
        if not known.get(part):
            raise ValueError(
                f"{title}: there is no image to {'train on' if part == 'train' else 'judge by'}: "
                f"the part {part} is empty"
            )
    return _found(known, classes, _told(title, remarks))


def divided(
    title: str,
    rows: Iterable[Row],
    complaints: Complaints,
    val_fraction: float,
    test_fraction: float,
    split_seed: int,
) -> FoundPictures:
    """The pictures of rows that say no part. Raises ValueError when they cannot be divided."""
    remarks: list[str] = []
    merged = _merged("", rows, remarks)
    complaints.check()
    files, names = list(merged), sorted({label for labels in merged.values() for label in labels})
    number = {name: label for label, name in enumerate(names)}
    try:
        parts = split(
            [number[labels[0]] for labels in merged.values()],
            val_fraction,
            test_fraction,
            split_seed,
        )
    except ValueError as error:
        raise ValueError(f"{title}: cannot divide {len(files)} images: {error}") from error
    inside = {part: {files[index]: merged[files[index]] for index in parts[part]} for part in PARTS}
    classes = tuple(sorted({label for labels in inside["train"].values() for label in labels}))
    known = {
        part: _known(part, found, classes, remarks) if part != "train" else found
        for part, found in inside.items()
    }
    return _found(known, classes, _told(title, remarks))


def _merged(part: str, rows: Iterable[Row], remarks: list[str]) -> Rows:
    found: Rows = {}
    again, first = 0, ""
    for row in rows:
        labels = found.setdefault(row.image, [])
        if row.label in labels:
            again, first = again + 1, first or row.place
        else:
            labels.append(row.label)
    prefix = f"{part}: " if part else ""
    if again:
        remarks.append(
            f"{prefix}left out {_count(again, 'row')} that said what another had said, first {first}"
        )
    different = sum(len(labels) > 1 for labels in found.values())
    if different:
        remarks.append(
            f"{prefix}{_count(different, 'image')} with several labels, counted once for each"
        )
    return found


def _known(part: Part, rows: Rows, classes: tuple[str, ...], remarks: list[str]) -> Rows:
    """Without the labels that are no class."""
    inside = set(classes)
    unknown = Counter(label for labels in rows.values() for label in labels if label not in inside)
    if unknown:
        some = ", ".join(f"'{label}' ({count})" for label, count in unknown.most_common(5))
        more = f", and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        remarks.append(
            f"{part}: left out {_count(unknown.total(), 'row')} with labels that train does not have: {some}{more}"
        )
    kept = {file: [label for label in labels if label in inside] for file, labels in rows.items()}
    return {file: labels for file, labels in kept.items() if labels}


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _told(title: str, remarks: list[str]) -> tuple[str, ...]:
    for remark in remarks:
        logging.getLogger(__name__).warning("%s: %s", title, remark)
    return tuple(remarks)


def _found(
    parts: Mapping[Part, Rows], classes: tuple[str, ...], remarks: tuple[str, ...]
) -> FoundPictures:
    number = {name: label for label, name in enumerate(classes)}
    paths: list[str] = []
    labels: list[int] = []
    indices: dict[Part, Indices] = {}
    for part, rows in parts.items():
        start = len(paths)
        for file, names in rows.items():
            paths += [file] * len(names)
            labels += [number[name] for name in names]
        if len(paths) > start:
            indices[part] = np.arange(start, len(paths))
    return FoundPictures(Files(paths), labels, classes, indices, remarks)
