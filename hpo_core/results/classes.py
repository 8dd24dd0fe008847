"""How a trial does on each class and on groups of classes, and which classes it takes for which.

All of it is counted from the confusion that the trial reported (`hpo_core.ClassReport`); precision, recall and F1 of
each class are those that it reported. Of a group of classes:

- *micro*: the share of the group's images that were given their own class; *macro*: the mean of that over its classes.
- *coarse*: the share of the group's images that were given any class of the group.

Where the groups are a partition (each class is in just one), the coarse accuracy of the whole is that of a classifier
which is only asked for the group, and the errors that stay within a group are those that the hierarchy forgives.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from hpo_core.trial import ClassReport


@dataclass(frozen=True)
class ClassRow:
    """One class. `support` is how many images it has, `predicted` how many were taken for it."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True)
class GroupRow:
    """A group of classes; None where it has no image."""

    name: str
    classes: int
    support: int
    micro: float | None
    macro: float | None
    coarse: float | None


@dataclass(frozen=True)
class ClassSummary:
    """A report on classes as tables. `macro_*` are means over the classes that have images.

    `coarse_accuracy` and `errors_within` (how many of the errors stay within their group) are None unless the groups
    are a partition.
    """

    images: int
    accuracy: float | None
    macro_precision: float | None
    macro_recall: float | None
    macro_f1: float | None
    most_predicted: float | None  # the share of images that were given the commonest guess
    classes: tuple[ClassRow, ...]
    groups: tuple[GroupRow, ...]
    coarse_accuracy: float | None
    errors_within: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Confused:
    """A class that is taken for another, `images` times: this `share` of the class's images."""

    label: str
    predicted: str
    images: int
    share: float
    same_group: bool | None


def summary(report: ClassReport) -> ClassSummary:
    """A report as tables of classes and groups."""
    support, predicted, hits = _counts(report)
    images = sum(support.values())
    rows = tuple(
        ClassRow(
            name,
            report.precision[index],
            report.recall[index],
            report.f1[index],
            support[index],
            predicted[index],
        )
        for index, name in enumerate(report.classes)
    )
    present = [row for row in rows if row.support]
    coarse, within = _coarse(report, images)
    return ClassSummary(
        images=images,
        accuracy=_share(sum(hits.values()), images),
        macro_precision=_mean(row.precision for row in present),
        macro_recall=_mean(row.recall for row in present),
        macro_f1=_mean(row.f1 for row in present),
        most_predicted=_share(max(predicted.values(), default=0), images),
        classes=rows,
        groups=tuple(_group(report, name, support, hits) for name in report.groups),
        coarse_accuracy=coarse,
        errors_within=within,
    )


def confused(report: ClassReport, top: int | None = None) -> list[Confused]:
    """The pairs of classes that are taken for one another, the commonest first."""
    support, _, _ = _counts(report)
    home = _partition(report)
    wrong = [entry for entry in report.confusion if entry[0] != entry[1] and entry[2]]
    wrong.sort(key=lambda entry: (-entry[2], -entry[2] / support[entry[0]], entry[:2]))
    return [
        Confused(
            report.classes[label],
            report.classes[guess],
            images,
            images / support[label],
            None if home is None else home[label] == home[guess],
        )
        for label, guess, images in wrong[:top]
    ]


def matrix(report: ClassReport) -> list[list[float]]:
    """Row by row, of each class's images the share that was taken for each class; zeros where it has none."""
    support, _, _ = _counts(report)
    rows = [[0.0] * len(report.classes) for _ in report.classes]
    for label, guess, images in report.confusion:
        if images:
            rows[label][guess] += images / support[label]
    return rows


def _counts(report: ClassReport) -> tuple[Counter[int], Counter[int], Counter[int]]:
    """Images by class, guesses by class, right guesses by class."""
    support: Counter[int] = Counter()
    predicted: Counter[int] = Counter()
    hits: Counter[int] = Counter()
    for label, guess, images in report.confusion:
        support[label] += images
        predicted[guess] += images
        hits[label] += images if label == guess else 0
    return support, predicted, hits


def _group(report: ClassReport, name: str, support: Counter[int], hits: Counter[int]) -> GroupRow:
    members = set(report.groups[name])
    images = sum(support[index] for index in members)
    inside = sum(n for label, guess, n in report.confusion if {label, guess} <= members)
    return GroupRow(
        name,
        len(members),
        images,
        micro=_share(sum(hits[index] for index in members), images),
        macro=_mean(hits[index] / support[index] for index in sorted(members) if support[index]),
        coarse=_share(inside, images),
    )


def _partition(report: ClassReport) -> dict[int, str] | None:
    """The group of each class, where each has just one."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name, members in report.groups.items():
        for index in set(members):
            found[index].append(name)
    if len(found) < len(report.classes) or any(len(names) > 1 for names in found.values()):
        return None
    return {index: names[0] for index, names in found.items()}


def _coarse(report: ClassReport, images: int) -> tuple[float | None, float | None]:
    """The accuracy of the groups, and the share of the errors that stay within one."""
    home = _partition(report)
    if home is None:
        return None, None
    inside = sum(n for label, guess, n in report.confusion if home[label] == home[guess])
    right = sum(n for label, guess, n in report.confusion if label == guess)
    return _share(inside, images), _share(inside - right, images - right)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None
