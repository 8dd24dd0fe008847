"""How many files a version has, how large they are, and how they are spread over folders and kinds."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from statistics import median
from typing import Any

from hpo_core.datasets.entries import Entry

FOLDERS = 1000
"""Folders that are told of one by one; a deeper level is left out where there would be more."""


@dataclass(frozen=True)
class Statistics:
    """Counts and sizes in bytes. `kinds` (by suffix) and `folders` have (files, bytes) for each.

    `repeated` is how many files have the bytes of another one before them, and `saved` how large those are together:
    what a copy in a store does not take.
    """

    files: int
    size: int
    smallest: int
    median: float
    largest: int
    empty: int
    repeated: int
    saved: int
    kinds: dict[str, tuple[int, int]]
    folders: dict[str, tuple[int, int]]

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo data sizes --json`, but for the name of the version."""
        return asdict(self)


def statistics(entries: Iterable[Entry]) -> Statistics:
    """Count the files of a version."""
    sizes = array("Q")
    seen: set[bytes] = set()
    repeated = saved = 0
    kinds: dict[str, tuple[int, int]] = {}
    levels: list[dict[str, tuple[int, int]]] = [{}, {}]
    for entry in entries:
        sizes.append(entry.size)
        content = bytes.fromhex(entry.sha256)
        if content in seen:
            repeated, saved = repeated + 1, saved + entry.size
        seen.add(content)
        _count(kinds, PurePosixPath(entry.path).suffix.lower(), entry.size)
        folders = entry.path.split("/")[:-1]
        for depth, level in enumerate(levels, 1):
            if len(level) <= FOLDERS:
                _count(level, "/".join(folders[:depth]) or ".", entry.size)
    folders_told = next((level for level in reversed(levels) if len(level) <= FOLDERS), {})
    return Statistics(
        files=len(sizes),
        size=sum(sizes),
        smallest=min(sizes),
        median=median(sizes),
        largest=max(sizes),
        empty=sizes.count(0),
        repeated=repeated,
        saved=saved,
        kinds=dict(sorted(kinds.items(), key=lambda item: -item[1][0])),
        folders=folders_told,
    )


def _count(table: dict[str, tuple[int, int]], key: str, size: int) -> None:
    files, total = table.get(key, (0, 0))
    table[key] = files + 1, total + size
