"""Copies of the files of versions in a store, called by their sha256, and folders made of such copies.

What lies in a store is not copied again: files with the same bytes lie there once, whatever versions they are of. Every
byte is compared with its version on the way in and on the way out.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hpo_core.datasets.entries import Entry, Found, each
from hpo_core.datasets.sources import Source, refused
from hpo_core.datasets.stores import Store, failed
from hpo_core.errors import StoreError, UsageError
from hpo_core.faults import point
from hpo_core.registry import files


@dataclass(frozen=True)
class Copied:
    """How many files a store has of a version, and how many of them, with how many bytes, were copied now."""

    files: int
    copied: int
    size: int


def object_of(sha256: str) -> str:
    """Where the bytes with this sha256 lie in a store."""
    return f"objects/{sha256[:2]}/{sha256[2:]}"


def copy(entries: Iterable[Entry], source: Source, store: Store) -> Copied:
    """Have every file of a version in a store. Raises StoreError that names one that has changed since."""
    with store.drafts() as drafts:

        def act(entry: Entry) -> int | None:
            name = object_of(entry.sha256)
            if store.size(name) == entry.size:
                return None
            draft = drafts / uuid.uuid4().hex
            _write(draft, source.chunks(Found(entry.path, entry.size, None)), entry, source.shown)
            point("dataset.object")
            store.put(draft, name)
            return entry.size

        sizes = list(each(act, entries, store.threads))
    new = [size for size in sizes if size is not None]
    return Copied(len(sizes), len(new), sum(new))


def restore(entries: Iterable[Entry], store: Store, folder: Path) -> int:
    """Make a new folder of a version's files, whole or not at all; how many they are. Raises StoreError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already: give a new folder, or delete it")
    try:
        with files.filling(folder.absolute().parent) as part:
            count = sum(each(lambda entry: _restored(entry, store, part), entries, store.threads))
            os.sync()  # once: thousands of small files would be slow to sync one by one
            point("dataset.restore")
            if folder.is_dir():
                folder.rmdir()
            part.rename(folder)
            files.sync_names(folder.absolute().parent)
    except OSError as error:
        raise failed(f"cannot write {error.filename or folder}", error) from error
    return count


def _restored(entry: Entry, store: Store, part: Path) -> int:
    final = part / entry.path
    final.parent.mkdir(parents=True, exist_ok=True)
    name = object_of(entry.sha256)
    with store.fetched(name) as path:
        _write(final, _blocks(path), entry, store.shown, name)
    return 1


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            yield block


def _write(path: Path, blocks: Iterable[bytes], entry: Entry, shown: str, name: str = "") -> None:
    """A local copy of a file, which must be what its version says."""
    made = hashlib.sha256()
    try:
        with path.open("xb") as file:
            for block in blocks:
                made.update(block)
                file.write(block)
    except OSError as error:
        raise failed(f"cannot write {path}", error) from error
    if made.hexdigest() != entry.sha256:
        raise _differs(entry, shown, name)


def _differs(entry: Entry, shown: str, name: str) -> StoreError:
    if name:
        return refused(shown, name, f"it was changed: it is not {entry.path} as it was copied")
    return refused(shown, entry.path, "it has changed since it was registered: register it again")
