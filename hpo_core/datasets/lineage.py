"""What a version was made from, step by step, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpo_core.datasets.dataset_version import DatasetVersion


@dataclass(frozen=True)
class DatasetLineage:
    """`ancestors` from the nearest to the first; one that is not known is the last, by its name alone."""

    version: DatasetVersion
    ancestors: tuple[DatasetVersion, ...]
    unknown: str | None
    children: tuple[DatasetVersion, ...]

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo data lineage --json`."""
        return {
            "version": _told(self.version),
            "ancestors": [_told(each) for each in self.ancestors],
            "children": [_told(each) for each in self.children],
        }

    def lines(self) -> Iterator[str]:
        """The version, what it was made from below it, and what was made from it."""
        for depth, each in enumerate((self.version, *self.ancestors)):
            yield "  " * depth + _line(each)
        if self.unknown is not None:
            yield "  " * (len(self.ancestors) + 1) + self.unknown
        for each in self.children:
            yield f"made into {_line(each)}"


def lineage(version: DatasetVersion, known: Mapping[str, DatasetVersion]) -> DatasetLineage:
    """The lineage of a version; `known` are all versions by their labels."""
    ancestors: list[DatasetVersion] = []
    current = version
    while current.parent is not None and current.parent in known:
        current = known[current.parent]
        if current in (version, *ancestors):
            break
        ancestors.append(current)
    unknown = None if current.parent is None or current.parent in known else current.parent
    children = tuple(each for each in known.values() if each.parent == version.label)
    return DatasetLineage(version, tuple(ancestors), unknown, children)


def _told(version: DatasetVersion) -> dict[str, Any]:
    keys = ("root", "parent", "made", "created", "deleted", "location")
    values = version.to_json()
    return {"version": version.label} | {key: values[key] for key in keys}


def _line(version: DatasetVersion) -> str:
    words = [version.label]
    if version.made.get("text"):
        words.append(f"({version.made['text']})")
    if version.made.get("recipe"):
        recipe = ", ".join(f"{key} {value}" for key, value in version.made["recipe"].items())
        words.append(f"[{recipe}]")
    if version.deleted is not None:
        words.append("deleted")
    return " ".join(words)
