"""The model registry as Python sees it; the command line (`hpo models`) is written on it.

registry = Registry.open("sqlite:///runs/hpo.db")
made = registry.register("digits-search", 13, name="digits")
registry.promote(made.version.label, "production")
registry.verified("digits@production").folder
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Engine

from hpo_core.errors import UsageError
from hpo_core.registry import (
    deletion,
    files,
    listing,
    logbook,
    places,
    references,
    stages,
    tags,
    tombstones,
)
from hpo_core.registry.card import card
from hpo_core.registry.comparison import Comparison, compare
from hpo_core.registry.deletion import Deletion
from hpo_core.registry.lineage import Lineage, lineage
from hpo_core.registry.listing import Listed, Wanted
from hpo_core.registry.logbook import Happening
from hpo_core.registry.model_version import ModelVersion
from hpo_core.registry.places import Stray
from hpo_core.registry.stages import Promotion
from hpo_core.registry.tags import check_tags
from hpo_core.registry.tombstones import Tombstone
from hpo_core.registry.versions import Registration
from hpo_core.storage import database

Placed = TypeVar("Placed", ModelVersion, Tombstone)


class Registry:
    """The model versions of one database. Methods raise UsageError for what is not there, and StorageError.

    A reference is `NAME` (the newest version), `NAME@3` or `NAME@ALIAS`.
    """

    def __init__(self, engine: Engine, storage: str) -> None:
        self.engine = engine
        self.storage = storage

    @classmethod
    def open(cls, storage: str) -> Registry:
        """The registry of a database that is there; one that an older hpo has written is brought up to date."""
        engine = database.open_existing(storage)
        if not database.current(engine):
            engine.dispose()
            engine = database.open_or_create(storage)
        return cls(engine, storage)

    # ---- reading ----

    def get(self, reference: str) -> ModelVersion:
        """The version that is meant. Raises UsageError with the nearest word."""
        return self._located(references.resolve(self.engine, reference))

    def verified(self, reference: str) -> ModelVersion:
        """As `get`, when every file is as it was registered. Raises StoreError that names the one that is not."""
        version = self.get(reference)
        files.check(version.label, version.folder, version.files)
        return version

    def damage(self, version: ModelVersion) -> list[str]:
        """What is wrong with each file of a version that is not as it was registered."""
        return list(files.damage(version.folder, version.files))

    def find(
        self,
        name: str | None = None,
        *,
        study: str | None = None,
        alias: str | None = None,
        tags: Mapping[str, str] | None = None,
        where: str | None = None,
    ) -> list[Listed]:
        """The versions that are asked for, with their aliases, stages and tags, by name and number.

        `alias` may be a stage, `archived` or `latest`. `where` is a condition on metrics, options and parameters.
        """
        wanted = Wanted(name, study, alias, tags or {}, where)
        found = listing.find(self.engine, wanted)
        return [replace(each, version=self._located(each.version)) for each in found]

    def listed(self, reference: str) -> Listed:
        """A version with its aliases, its stage and its tags."""
        version = self.get(reference)
        found = self.find(version.name)
        return next(each for each in found if each.version.version == version.version)

    def versions(self, name: str) -> list[ModelVersion]:
        """Every version of a model, by number."""
        return [each.version for each in self.find(name)]

    def compare(self, first: str, second: str) -> Comparison:
        """Two versions side by side."""
        return compare(self.get(first), self.get(second))

    def lineage(self, reference: str) -> Lineage:
        """Where a version comes from."""
        return lineage(self.engine, self.get(reference))

    def card(self, reference: str) -> str:
        """The model card of a version, in Markdown."""
        return card(self.listed(reference))

    def log(self, name: str) -> list[Happening]:
        """What happened to a model, in order; of one that is deleted, too."""
        with database.connect(self.engine) as connection:
            found = logbook.read(connection, name)
            if not found:
                references.find(connection, name)
        return found

    def deleted(self, name: str | None = None) -> list[Tombstone]:
        """What is left of the versions of one model, or of all, that were deleted."""
        with database.connect(self.engine) as connection:
            return tombstones.read(connection, name)

    def strays(self) -> list[Stray]:
        """The folders beside those of the versions that are no version's."""
        return places.strays(self.engine, self.storage)

    # ---- writing ----

    def register(
        self,
        study: str,
        trial: int | None = None,
        *,
        name: str,
        tags: Mapping[str, str] | None = None,
        code_path: list[str] | None = None,
    ) -> Registration:
        """Make the checkpoint of a finished trial, of the best one unless it is named, a version of the model `name`.

        The version that it is already, if it is one; otherwise it is measured, for which user code may be imported from
        `code_path`. It gets the `tags` either way. Raises UsageError when there is no such checkpoint, or a tag cannot
        be one, and StoreError when the checkpoint is damaged.
        """
        from hpo_core.registry import by_hand
        from hpo_core.study_file import NAME

        if not re.fullmatch(NAME, name):
            raise UsageError(
                f"{name[:200]!a} is no name of a model: write at most 128 letters, digits, . _ - and no dot at its "
                "beginning"
            )
        check_tags(tags or {})
        made = by_hand.register(self.engine, study, trial, name, code_path)
        if tags:
            self.tag(made.version.label, tags)
        return replace(made, version=self._located(made.version))

    def promote(self, reference: str, alias: str, *, archive: bool = True) -> Promotion:
        """Give a version an alias, or a stage, whose version before is then archived.

        Raises StoreError when its files are here and not as they were registered, unless it is to be archived, and
        GateError when it does not meet its study's criteria, which staging and production ask for.
        """
        if alias != references.ARCHIVED:
            version = self.get(reference)
            reference = version.label  # what was looked at, and no newer one
            if version.folder.exists():  # not so where somebody promotes from another machine
                files.check(version.label, version.folder, version.files)
        return stages.promote(self.engine, reference, alias, archive=archive)

    def archive(self, reference: str) -> Promotion:
        """Take a version out of its stage and mark it as archived."""
        return stages.archive(self.engine, reference)

    def unalias(self, name: str, alias: str) -> int:
        """Take an alias away; the number of the version that had it."""
        return stages.unalias(self.engine, name, alias)

    def tag(self, reference: str, values: Mapping[str, str]) -> ModelVersion:
        """Set tags of a version; `description` is what its card begins with."""
        return tags.tag(self.engine, reference, values)

    def untag(self, reference: str, keys: Iterable[str]) -> ModelVersion:
        """Take tags off a version."""
        return tags.untag(self.engine, reference, keys)

    def delete(self, reference: str, reason: str = "") -> Deletion:
        """Delete the version `NAME@3`, files and all; what stays is its number, its sha256 and the reason.

        Raises UsageError where an alias points to it, and StoreError when its files cannot be removed.
        """
        return deletion.delete_version(self.engine, reference, reason, self._located)

    def delete_model(self, name: str, reason: str = "") -> list[Deletion]:
        """Delete all versions of a model, or none where an alias points to one of them."""
        return deletion.delete_model(self.engine, name, reason, self._located)

    def _located(self, version: Placed) -> Placed:
        """A version with its path as it is now."""
        return replace(version, path=places.located(self.storage, version.name, version.path))
