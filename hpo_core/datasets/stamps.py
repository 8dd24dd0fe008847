"""What saves reading files again: their stamps as they were when they were last read.

The file `stamps/NAME.jsonl` of a store names a place and a root, and holds the stamp of each file; the sha256 stands in
the manifest of that root alone. So a damaged file of stamps costs time, and never a wrong version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hpo_core.datasets import manifest
from hpo_core.datasets.entries import Entry, Found
from hpo_core.datasets.stores import Store
from hpo_core.errors import StoreError


@dataclass(frozen=True, slots=True)
class Known:
    """A file as it was read last."""

    path: str
    size: int
    stamp: str | None
    sha256: str


def name_of(dataset: str) -> str:
    """Where the stamps of a dataset's files lie in a store."""
    return f"stamps/{dataset}.jsonl"


def begin(file: BinaryIO, place: str) -> None:
    """The first line of new stamps; the last one is `end`."""
    manifest.write_line(file, {"hpo_stamps": 1, "place": place})


def add(file: BinaryIO, found: Found) -> None:
    """The next file's line."""
    manifest.write_line(file, {"path": found.path, "size": found.size, "stamp": found.stamp})


def end(file: BinaryIO, root: str) -> None:
    """The last line."""
    manifest.write_line(file, {"root": root})


def found(path: Path) -> Iterator[Found]:
    """The files of new stamps."""
    with path.open("rb") as file:
        file.readline()
        for line in file:
            about = json.loads(line)
            if "root" not in about:
                yield Found(**about)


@contextlib.contextmanager
def known(store: Store, dataset: str, place: str) -> Iterator[Iterator[Known]]:
    """The files of a dataset as they were read last in that place; none where nothing is known of them."""
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(store.fetched(name_of(dataset)))
            root = _root(path, place)
            entries = (
                None if root is None else stack.enter_context(store.fetched(manifest.name_of(root)))
            )
        except StoreError:
            yield iter(())
            return
        if root is None or entries is None:
            yield iter(())
        else:
            yield _both(path, manifest.read(entries, root))


def _root(path: Path, place: str) -> str | None:
    """The root that stamps were made with; None when they are of another place, or damaged."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline())
            file.seek(max(0, path.stat().st_size - 128))
            root = json.loads(file.read().splitlines()[-1])["root"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    fits = head == {"hpo_stamps": 1, "place": place} and isinstance(root, str) and len(root) == 64
    return root if fits else None


def _both(path: Path, entries: Iterator[Entry]) -> Iterator[Known]:
    """Stamps beside what a manifest says; they end where these differ."""
    with path.open("rb") as file:
        file.readline()
        for entry in entries:
            try:
                about = json.loads(file.readline())
                stamp, same = (
                    about["stamp"],
                    (about["path"], about["size"]) == (entry.path, entry.size),
                )
            except (ValueError, LookupError, TypeError):
                return
            if not same:
                return
            yield Known(entry.path, entry.size, stamp, entry.sha256)


class Listing:
    """One number for the names, sizes and stamps of files; None where a stamp is missing."""

    def __init__(self, place: str) -> None:
        self._hash = hashlib.sha256(place.encode())
        self._sure = True

    def add(self, found: Found) -> None:
        """The next file."""
        self._sure = self._sure and found.stamp is not None
        self._hash.update(f"\0{found.path}\0{found.size}\0{found.stamp}".encode())

    def digest(self) -> str | None:
        """What stands for all that was added, in hex."""
        return self._hash.hexdigest() if self._sure else None
