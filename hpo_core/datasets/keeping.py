"""In which store a version's manifest lies, and in which ones copies of its files.

A store beside the database is written as nothing in the database, so that both may be moved together.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, func, insert, select

from hpo_core.datasets import manifest, snapshots, sources, stores
from hpo_core.datasets.creating import lock
from hpo_core.datasets.dataset_version import DatasetVersion
from hpo_core.datasets.entries import Entry
from hpo_core.datasets.snapshots import Copied
from hpo_core.datasets.stores import Store
from hpo_core.errors import UsageError
from hpo_core.faults import point
from hpo_core.registry.changing import changing
from hpo_core.storage import database
from hpo_core.storage.tables import hpo_dataset_snapshots as table


class Keeping:
    """The stores of the dataset versions of one database."""

    def __init__(self, engine: Engine, storage: str) -> None:
        self._engine = engine
        self._storage = storage

    def place(self, store: str | None, known: list[DatasetVersion]) -> str:
        """Where the manifest of a dataset's next version goes; `known` are those before it."""
        if store is not None:
            return sources.checked(store)
        if known:
            return known[-1].store
        return self._beside() if database.sqlite_path(self._storage) is None else ""

    def store(self, kept: str) -> Store:
        """The store that a row names."""
        return stores.opened(kept or self._beside())

    @contextlib.contextmanager
    def entries(
        self, version: DatasetVersion, store: Store | None = None
    ) -> Iterator[Iterator[Entry]]:
        """The files of a version by its manifest, in its own store or another one, for the length of the context."""
        shelf = self.store(version.store) if store is None else store
        with shelf.fetched(manifest.name_of(version.root)) as path:
            yield manifest.read(path, version.root)

    def copy(self, version: DatasetVersion, store: str | None) -> Copied:
        """Have every file of a version in a store, and its manifest with them."""
        kept = version.store if store is None else sources.checked(store)
        to = self.store(kept)
        source = sources.opened(version.location)
        with self.entries(version) as entries:
            copied = snapshots.copy(entries, source, to)
        self._put_manifest(version, to)
        self._note(version, kept)
        return copied

    def copies(self, version: DatasetVersion) -> list[str]:
        """The stores that a version's files were copied to, the last one first."""
        its = (table.c.name == version.name) & (table.c.version == version.version)
        query = select(table.c.store).where(its).order_by(table.c.seq.desc())
        with database.connect(self._engine) as connection:
            found = list(connection.execute(query).scalars())
        return [each or self._beside() for each in dict.fromkeys(found)]

    def restore(self, version: DatasetVersion, folder: Path, store: str | None) -> int:
        """Make a new folder of the copies in a store, or in the last one; how many files there are."""
        known = self.copies(version)
        if store is None and not known:
            raise UsageError(
                f"no copy of {version.label} was made: hpo data snapshot {version.label}"
            )
        origin = stores.opened(known[0] if store is None else sources.checked(store))
        with self.entries(version, origin) as entries:
            return snapshots.restore(entries, origin, folder)

    def _put_manifest(self, version: DatasetVersion, store: Store) -> None:
        name = manifest.name_of(version.root)
        if store.size(name) is not None:
            return
        with self.entries(version) as entries, store.drafts() as drafts:
            draft = drafts / "manifest"
            with draft.open("wb") as file:
                manifest.begin(file)
                for entry in entries:
                    manifest.add(file, entry)
            store.put(draft, name)

    def _note(self, version: DatasetVersion, store: str) -> None:
        its = (table.c.name == version.name) & (table.c.version == version.version)
        with changing(self._engine, lock(version.name)) as connection:
            last = connection.execute(select(func.max(table.c.seq)).where(its)).scalar_one()
            row = {"name": version.name, "version": version.version, "store": store}
            more = {"seq": 0 if last is None else last + 1, "since": time.time()}
            point("dataset.copied")
            connection.execute(insert(table), row | more)

    def _beside(self) -> str:
        """The store beside the database, wherever that was moved to."""
        file = database.sqlite_path(self._storage)
        return str((Path("runs") if file is None else file.parent).absolute() / "datasets")
