"""A model version is deleted: its row and its files go, and a tombstone stays.

Versions are immutable, and nothing else takes one away. Deleting is offered all the same, because some have to go: what
was learned from pictures that somebody has withdrawn, weights that must not be used by anyone, a disk that is full. It
rewrites nothing that is known: the tombstone keeps number, sha256 and reason, and the number is never given again, so
that `digits@3` is what it always was or nothing.

What an alias points to is not deleted: somebody relies on it. To be archived is no such thing.

The row goes first, in the transaction that writes the tombstone, then the files. A process that is killed in between
leaves the tombstone, and files that no row names: deleting it again removes them, and `hpo models verify --all` names
them until then. Files are removed only where one of them is, by its sha256, the version's: a path may be relative, and
mean another project's model in the folder where the command is given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete

from hpo_core.errors import StoreError, UsageError
from hpo_core.registry import dashboard, files, references, tombstones
from hpo_core.registry.changing import marking
from hpo_core.registry.model_version import ModelVersion, read
from hpo_core.registry.tombstones import Tombstone
from hpo_core.storage.tables import hpo_model_tags, hpo_model_versions

LONGEST = 10_000
"""Characters of a reason."""


@dataclass(frozen=True)
class Deletion:
    """What came of deleting a version. `kept` says why its files were not removed, and is empty where they were."""

    tombstone: Tombstone
    kept: str = ""


def delete_version(
    engine: Engine, reference: str, reason: str, located: Callable[[Tombstone], Tombstone]
) -> Deletion:
    """Delete the version `NAME@NUMBER`; one that is deleted already loses what a kill has left of its files.

    `located` finds the place where the files are now. Raises UsageError where there is no such version or an alias
    points to it, and StoreError when its files cannot be removed.
    """
    name, number = _numbered(reference)
    _check(reason)
    with marking(engine, name) as connection:
        if number not in _buried(connection, name):
            _bury(connection, [references.find(connection, reference)], reason)
        tombstone = _buried(connection, name)[number]
    return _removed(located(tombstone))


def delete_model(
    engine: Engine, name: str, reason: str, located: Callable[[Tombstone], Tombstone]
) -> list[Deletion]:
    """Delete every version of a model, or none where an alias points to one of them. Raises as `delete_version`."""
    _check(reason)
    with marking(engine, name) as connection:
        known = read(connection, name)
        if not known and not _buried(connection, name):
            references.find(connection, name)  # says that there is no such model
        _bury(connection, known, reason)
        buried = list(_buried(connection, name).values())
    return [_removed(located(tombstone)) for tombstone in buried]


def _numbered(reference: str) -> tuple[str, int]:
    name, _, word = reference.partition("@")
    number = references.number(word)
    if number is None:
        raise UsageError(
            f"'{reference}' may mean another version tomorrow: name the one to delete by its number, NAME@3"
        )
    return name, number


def _check(reason: str) -> None:
    if len(reason) > LONGEST or not reason.isprintable():
        raise UsageError(f"a reason is one line of at most {LONGEST} printable characters")


def _buried(connection: Connection, name: str) -> dict[int, Tombstone]:
    return {tombstone.version: tombstone for tombstone in tombstones.read(connection, name)}


def _bury(connection: Connection, doomed: Collection[ModelVersion], reason: str) -> None:
    """Put tombstones in the place of versions of one model."""
    for version in doomed:
        _refuse_relied_on(connection, version)
    for version in doomed:
        tombstones.put(connection, version, reason)
        for table in (hpo_model_tags, hpo_model_versions):
            its = (table.c.name == version.name) & (table.c.version == version.version)
            connection.execute(delete(table).where(its))
    for name in {version.name for version in doomed}:
        dashboard.show(connection, name, {version.study_id for version in doomed})


def _refuse_relied_on(connection: Connection, version: ModelVersion) -> None:
    known = references.aliases(connection, version.name)
    its = [alias for alias, number in known.items() if number == version.version]
    if its:
        raise UsageError(
            f"model {version.label} is {' and '.join(its)}: give that to another version, or take it away with "
            f"hpo models unalias {version.name}@{its[0]}"
        )


def _removed(tombstone: Tombstone) -> Deletion:
    """Remove the files of a version that is deleted, if they are here."""
    folder = tombstone.folder
    try:
        if not folder.exists():
            files.sweep(folder.parent)  # of what a kill has left while they were removed
            return Deletion(tombstone, f"{folder} is not here")
        if not files.any_of(folder, tombstone.files):
            return Deletion(tombstone, f"what lies in {folder} is not of {tombstone.label}")
        files.remove(folder)
    except OSError as error:
        raise StoreError(
            f"model {tombstone.label} is deleted, but not its files: {error.filename or folder}: {error.strerror}; "
            "mend that and run the same command again"
        ) from error
    return Deletion(tombstone)
