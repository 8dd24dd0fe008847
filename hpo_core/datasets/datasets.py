"""Dataset versions as Python sees them; the command line (`hpo data`) is written on it.

datasets = Datasets.open("sqlite:///runs/hpo.db")
made = datasets.create("digits", "data/digits", made="scanned in May")
datasets.tag(made.version.label, "clean")
datasets.runs("digits@clean")
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from hpo_core.datasets import creating, marks, references, sources, usage, uses
from hpo_core.datasets.comparing import Comparison, Differences, compare, differences
from hpo_core.datasets.creating import Content, Created
from hpo_core.datasets.dataset_version import DatasetVersion, read
from hpo_core.datasets.entries import Entry
from hpo_core.datasets.keeping import Keeping
from hpo_core.datasets.lineage import DatasetLineage, lineage
from hpo_core.datasets.snapshots import Copied
from hpo_core.datasets.statistics import Statistics, statistics
from hpo_core.datasets.usage import Run
from hpo_core.datasets.uses import Use
from hpo_core.errors import UsageError
from hpo_core.storage import database, reading, studies
from hpo_core.study_file import NAME
from hpo_core.trial import json_safe

LONGEST = 10_000
"""Characters of what is said of how a version was made."""


class Datasets:
    """The dataset versions of one database. Methods raise UsageError for what is not there, and StorageError.

    A reference is `NAME` (the newest version), `NAME@3` or `NAME@TAG`. An address is a folder's path or any URL that
    fsspec reaches; StoreError, a StorageError, names a file there that is in the way. Sizes are in bytes, and times in
    seconds since the epoch. A version that was deleted is found by `lineage`, `runs` and `for_run`, and where `deleted`
    is said.
    """

    def __init__(self, engine: Engine, storage: str) -> None:
        self.engine = engine
        self.storage = storage
        self._keeping = Keeping(engine, storage)

    @classmethod
    def open(cls, storage: str, *, new: bool = False) -> Datasets:
        """Those of a database, by its URL; an older one is updated. Raises StorageError for one that is not there.

        With `new` it is made then.
        """
        if new:
            return cls(database.open_or_create(storage), storage)
        engine = database.open_existing(storage)
        if not database.current(engine):
            engine.dispose()
            engine = database.open_or_create(storage)
        return cls(engine, storage)

    # ---- versions ----

    def create(
        self,
        name: str,
        location: str,
        *,
        parent: str | None = None,
        made: str = "",
        recipe: Mapping[str, Any] | None = None,
        store: str | None = None,
        full: bool = False,
    ) -> Created:
        """Make the files at an address the next version of a dataset, or find the version that they are.

        `parent` is what it was made from (the version before it, unless it is said), `made` and `recipe` say how. The
        manifest goes to `store`; where none is named, to that of the version before, else beside the database. Files
        that have not changed since they were last registered there are not read again, unless `full`.

        Raises UsageError for a name that cannot be one and for an address without files, and StoreError for a file that
        cannot be read, or that has changed while it was.
        """
        _check_name(name)
        if len(made) > LONGEST or "\0" in made:
            raise UsageError(f"how it was made is said in at most {LONGEST} characters")
        with database.connect(self.engine) as connection:
            known = read(connection, name)
            _check_number(name, known)
            ancestor = None if parent is None else references.find(connection, parent).label
        source = sources.opened(location)
        kept = self._keeping.place(store, known)
        about: dict[str, Any] = {"text": made} if made else {}
        if recipe is not None:
            about["recipe"] = json_safe(dict(recipe))
        wanted = DatasetVersion(
            name, 0, "", 0, 0, sources.checked(location), kept, ancestor, about, time.time()
        )
        return creating.create(self.engine, wanted, source, self._keeping.store(kept), full)

    @staticmethod
    def digest(location: str) -> Content:
        """The root (sha256), the count and the size of the files at an address; all are read, and nothing is kept.

        Raises UsageError for an address without files, and StoreError for a file that cannot be read.
        """
        source = sources.opened(location)
        with tempfile.TemporaryDirectory(prefix="hpo-data-") as folder:
            return creating.content(source, (), Path(folder, "manifest"), Path(folder, "stamps"))

    def get(self, reference: str, *, deleted: bool = False) -> DatasetVersion:
        """The version that is meant, with `deleted` also one that was. Raises UsageError with the nearest word."""
        with database.connect(self.engine) as connection:
            return references.find(connection, reference, deleted=deleted)

    def latest(self, name: str) -> DatasetVersion:
        """The newest version of a dataset. Raises UsageError where there is none."""
        return self.get(f"{name}@{references.LATEST}")

    def by_tag(self, name: str, tag: str) -> DatasetVersion:
        """The version that has a tag. Raises UsageError with the nearest tag."""
        known = self.tags(name)
        if tag not in known:
            raise UsageError(references.no_tag(name, tag, list(known)))
        return self.get(f"{name}@{known[tag]}")

    def versions(self, name: str, *, deleted: bool = False) -> list[DatasetVersion]:
        """Every version of a dataset, by number; with `deleted` those that were deleted too.

        Raises UsageError where there is none.
        """
        with database.connect(self.engine) as connection:
            found = read(connection, name)
            if not deleted or not found:
                references.find(connection, name)
        return [version for version in found if deleted or version.deleted is None]

    def names(self) -> list[str]:
        """The datasets that have a version, sorted."""
        with database.connect(self.engine) as connection:
            return references.names(connection)

    def tags(self, name: str) -> dict[str, int]:
        """The tags of a dataset, with the numbers of the versions that have them. Raises UsageError for no dataset."""
        with database.connect(self.engine) as connection:
            references.find(connection, name)
            return references.tags(connection, name)

    @contextlib.contextmanager
    def files(self, reference: str) -> Iterator[Iterator[Entry]]:
        """The files of a version by its manifest, sorted by path, for the length of the context.

        Raises StoreError for a manifest that is not there, or not as it was written.
        """
        with self._keeping.entries(self.get(reference)) as entries:
            yield entries

    def statistics(self, reference: str) -> Statistics:
        """How many files a version has, how large in bytes, of which kinds and in which folders, by its manifest."""
        with self.files(reference) as entries:
            return statistics(entries)

    def compare(self, first: str, second: str) -> Comparison:
        """What was added, removed, changed and moved from one version to another, by their manifests."""
        with self.files(first) as before, self.files(second) as after:
            return compare(before, after)

    def verify(self, reference: str, location: str | None = None) -> Differences:
        """Read the files of a version, where it lay or at another address; which are missing, changed or extra.

        Files that differ or cannot be read are told of and raise nothing (`none` is true where there are none). Raises
        UsageError for a folder that is not there, and StoreError for files that cannot be listed.
        """
        version = self.get(reference)
        source = sources.opened(version.location if location is None else location)
        with self.files(version.label) as entries:
            return differences(source, entries)

    def lineage(self, reference: str) -> DatasetLineage:
        """What a version was made from, and what was made from it; `create` has recorded it."""
        version = self.get(reference, deleted=True)
        with database.connect(self.engine) as connection:
            known = {each.label: each for each in read(connection)}
        return lineage(version, known)

    # ---- what used them ----

    def runs(self, reference: str) -> list[Run]:
        """The trials, studies and models that used a version, recorded or linked by hand."""
        with database.connect(self.engine) as connection:
            return usage.runs(connection, references.find(connection, reference, deleted=True))

    def for_run(self, study: str, trial: int | None = None) -> list[Use]:
        """The versions that a study used, or one trial of it, recorded or linked by hand.

        Raises UsageError where there is no such study or trial.
        """
        study_id, _ = self._study(study, trial)
        with database.connect(self.engine) as connection:
            return uses.uses(connection, study_id, trial)

    def link(
        self, reference: str, study: str, trial: int | None = None, *, role: str = usage.TRAINING
    ) -> DatasetVersion:
        """Remember that a study, or one trial of it, used a version as `role`, where it could not be recorded.

        Raises UsageError where there is no such version, study or trial, and for a role that is no word.
        """
        return marks.link(self.engine, reference, self._study(study, trial), trial, role)

    # ---- what may change ----

    def tag(self, reference: str, word: str) -> tuple[DatasetVersion, int | None]:
        """Give a tag to a version; the version, and the number of the one that had the tag before.

        Raises UsageError for a word that cannot be a tag.
        """
        return marks.tag(self.engine, reference, word)

    def untag(self, name: str, word: str) -> int:
        """Take a tag off; the number of the version that had it. Raises UsageError with the nearest tag."""
        return marks.untag(self.engine, name, word)

    def delete(self, reference: str, *, force: bool = False) -> DatasetVersion:
        """Mark a version as deleted, which then has `deleted`. No file is removed.

        Raises UsageError for one that is tagged or was used, unless `force`.
        """
        return marks.remove(self.engine, reference, force)

    # ---- copies ----

    def snapshot(self, reference: str, store: str | None = None) -> Copied:
        """Copy the files of a version into a store: that of its manifest, or another one.

        Raises StoreError for a file that is not as it was registered, and for a store that cannot be written.
        """
        return self._keeping.copy(self.get(reference), store)

    def snapshots(self, reference: str) -> list[str]:
        """The stores that a version's files were copied to, the last one first."""
        return self._keeping.copies(self.get(reference))

    def restore(self, reference: str, folder: Path, store: str | None = None) -> int:
        """Make a new folder of the copies of a version's files, from a store or the last one; how many they are.

        Raises UsageError for a folder that is there and where no copy was made, and StoreError for a damaged copy.
        """
        return self._keeping.restore(self.get(reference), folder, store)

    # ---- inside ----

    def _study(self, name: str, trial: int | None) -> tuple[int, str]:
        record = studies.called(self.engine, name)
        if trial is not None and reading.trial(self.engine, record, trial) is None:
            raise UsageError(f"study '{name}' has no trial {trial}: see hpo trials {name}")
        return record.study_id, record.name


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"'{name}' is no name of a dataset: write at most 128 letters, digits, . _ - and no dot at its beginning"
        )


def _check_number(name: str, known: list[DatasetVersion]) -> None:
    """`5@3` would be hard to read. What an older hpo has called so may have more versions."""
    if name.isdigit() and not known:
        raise UsageError(
            f"'{name}' is no name of a dataset: versions have numbers, so write a letter in it, as in data-{name}"
        )
