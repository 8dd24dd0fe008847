"""How files become a version: they are read, their manifest is put in place, then the row is written.

A version is immutable, and its number is dealt in the transaction that writes its row, by one process at a time: there
is no gap and none is given twice. Files whose root is that of a version are that version. A process that is killed
leaves at most a manifest that no row names, and the next one who finds the same files takes it.

The folder is listed again when all of it was read. Where anything differs by then, nothing is registered: a manifest is
of one moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select

from hpo_core.datasets import manifest, stamps
from hpo_core.datasets.dataset_version import DatasetVersion, add, read
from hpo_core.datasets.entries import Entry, Found, each, joined
from hpo_core.datasets.merkle import Tree
from hpo_core.datasets.sources import Source, changed, digest
from hpo_core.datasets.stamps import Known, Listing
from hpo_core.datasets.stores import Store, failed
from hpo_core.errors import UsageError
from hpo_core.faults import point
from hpo_core.registry.changing import changing
from hpo_core.storage.database import connect, upsert
from hpo_core.storage.tables import hpo_dataset_listings


@dataclass(frozen=True)
class Created:
    """What came of it: `new` tells whether the version was made now, `read` how many of its files had to be read."""

    version: DatasetVersion
    new: bool
    read: int


@dataclass(frozen=True)
class Content:
    """Files that were read: their root, how many they are and how large. `listing` is None where nothing vouches."""

    root: str
    files: int
    size: int
    read: int
    listing: str | None


def create(
    engine: Engine, wanted: DatasetVersion, source: Source, store: Store, full: bool
) -> Created:
    """Make the files of a source the next version of a dataset, or find the version that they are.

    `wanted` says what is known of it before. Without `full` only those are read that have changed since they were read
    last. Raises StoreError that names the file that is in the way.
    """
    if not full and (same := _unchanged(engine, wanted.name, source)) is not None:
        if same.store != wanted.store or store.size(manifest.name_of(same.root)) is not None:
            return Created(same, False, 0)
    with store.drafts() as drafts:
        texts, marks = drafts / "manifest", drafts / "stamps"
        with stamps.known(store, wanted.name, source.key) as known:
            found = content(source, () if full else known, texts, marks)
        if full or store.size(manifest.name_of(found.root)) != texts.stat().st_size:
            point("dataset.publish")
            store.put(texts, manifest.name_of(found.root))
        made = replace(wanted, root=found.root, files=found.files, size=found.size)
        with changing(engine, lock(wanted.name)) as connection:
            version, new = _registered(connection, made)
            if found.listing is not None:
                _vouch(connection, found.listing, version, source.key)
            point("dataset.insert")
        point("dataset.registered")
        store.put(marks, stamps.name_of(wanted.name))
    return Created(version, new, found.read)


def _unchanged(engine: Engine, name: str, source: Source) -> DatasetVersion | None:
    """The version that the files are, when all of them look as they did when it was registered from there."""
    table = hpo_dataset_listings
    with connect(engine) as connection:
        places = select(table.c.place).where(table.c.name == name)
        if source.key not in connection.execute(places).scalars().all():
            return None
    listing = Listing(source.key)
    for found in source.listed():
        listing.add(found)
    with connect(engine) as connection:
        its = (table.c.name == name) & (table.c.listing == listing.digest())
        number = connection.execute(select(table.c.version).where(its)).scalar_one_or_none()
        return next((each for each in read(connection, name) if each.version == number), None)


def lock(name: str) -> str:
    """What one process at a time holds to change a dataset: models of the same name are others."""
    return f"dataset {name}"


def content(source: Source, known: Iterable[Known], texts: Path, marks: Path) -> Content:
    """Read what must be read, and write a manifest and stamps. Raises StoreError."""
    tree, read_ = Tree(), 0
    try:
        with texts.open("wb") as entries, marks.open("wb") as times:
            manifest.begin(entries)
            stamps.begin(times, source.key)
            for entry, found, was_read in _entries(source, known):
                manifest.add(entries, entry)
                stamps.add(times, found)
                tree.add(entry)
                read_ += was_read
            stamps.end(times, tree.root())
    except OSError as error:
        raise failed(f"cannot write {error.filename or texts.parent}", error) from error
    if not tree.files:
        raise UsageError(f"{source.shown} holds no file")
    return Content(tree.root(), tree.files, tree.size, read_, _listed_again(source, marks))


def _entries(source: Source, known: Iterable[Known]) -> Iterator[tuple[Entry, Found, bool]]:
    """Every file with its sha256, and whether it was read for that."""

    def act(pair: tuple[Found | None, Known | None]) -> tuple[Entry, Found, bool] | None:
        found, last = pair
        if found is None:
            return None
        if (
            last is not None
            and found.stamp
            and (last.size, last.stamp) == (found.size, found.stamp)
        ):
            return Entry(found.path, found.size, last.sha256), found, False
        return Entry(found.path, found.size, digest(source, found)), found, True

    results = each(act, joined(source.listed(), known), source.threads)
    return (result for result in results if result is not None)


def _listed_again(source: Source, marks: Path) -> str | None:
    """What stands for the files as they were listed. Raises StoreError that names one that is not so any more."""
    listing = Listing(source.key)
    for before, now in joined(stamps.found(marks), source.listed()):
        if before is None or now is None or before != now:
            one = before or now
            assert one is not None
            raise changed(source.shown, one.path)
        listing.add(now)
    return listing.digest()


def _registered(connection: Connection, made: DatasetVersion) -> tuple[DatasetVersion, bool]:
    """The version of these files, and whether it is made now."""
    known = read(connection, made.name)
    for version in known:
        if version.deleted is None and version.root == made.root:
            return version, False
    parent = made.parent
    if parent is None:
        parent = next((v.label for v in reversed(known) if v.deleted is None), None)
    number = max((version.version for version in known), default=0) + 1
    version = replace(made, version=number, parent=parent)
    add(connection, version)
    return version, True


def _vouch(connection: Connection, listing: str, version: DatasetVersion, place: str) -> None:
    """Remember that files that look like this are of this version."""
    table = hpo_dataset_listings
    values: dict[str, Any] = {"version": version.version, "place": place, "since": time.time()}
    put = upsert(connection)(table).on_conflict_do_update(
        index_elements=["listing", "name"], set_=values
    )
    connection.execute(put, {"listing": listing, "name": version.name} | values)
