"""What may change beside versions: tags, links to studies that used them, and that one is deleted.

A deleted version stays as a row that says so. Its number is never given again, and no file is removed: its manifest may
be another database's, and copies of its files other versions'.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection, Engine, delete, update

from hpo_core.datasets import references, usage
from hpo_core.datasets.creating import lock
from hpo_core.datasets.dataset_version import DatasetVersion
from hpo_core.errors import UsageError
from hpo_core.faults import point
from hpo_core.registry.changing import changing
from hpo_core.storage.database import upsert
from hpo_core.storage.tables import (
    ALL_TRIALS,
    hpo_dataset_links,
    hpo_dataset_listings,
    hpo_dataset_tags,
    hpo_dataset_versions,
)

WORD = re.compile(r"(?!v?[0-9]+$)[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def tag(engine: Engine, reference: str, word: str) -> tuple[DatasetVersion, int | None]:
    """Give a tag to a version; the version, and the number of the one that had the tag before."""
    if word == references.LATEST or not WORD.fullmatch(word):
        raise UsageError(
            f"'{word}' cannot be a tag: write letters, digits, . _ - and neither a number nor '{references.LATEST}'"
        )
    with _marking(engine, reference) as connection:
        version = references.find(connection, reference)
        before = references.tags(connection, version.name).get(word)
        if before == version.version:
            return version, None
        values = {"version": version.version, "since": time.time()}
        put = upsert(connection)(hpo_dataset_tags).on_conflict_do_update(
            index_elements=["name", "tag"], set_=values
        )
        connection.execute(put, {"name": version.name, "tag": word} | values)
    return version, before


def untag(engine: Engine, name: str, word: str) -> int:
    """Take a tag off; the number of the version that had it."""
    with _marking(engine, name) as connection:
        references.find(connection, name)
        known = references.tags(connection, name)
        if word not in known:
            raise UsageError(references.no_tag(name, word, list(known)))
        table = hpo_dataset_tags
        its = (table.c.name == name) & (table.c.tag == word)
        connection.execute(delete(table).where(its))
    return known[word]


def link(
    engine: Engine, reference: str, study: tuple[int, str], trial: int | None, role: str
) -> DatasetVersion:
    """Remember that a study (its id and name), or a trial of it, used a version as `role`."""
    if not WORD.fullmatch(role):
        raise UsageError(f"'{role}' is no role: write letters, digits, . _ -, say training or test")
    with _marking(engine, reference) as connection:
        version = references.find(connection, reference)
        row = {
            "name": version.name,
            "version": version.version,
            "study_id": study[0],
            "trial": ALL_TRIALS if trial is None else trial,
            "role": role,
            "study": study[1],
            "since": time.time(),
        }
        put = upsert(connection)(hpo_dataset_links).on_conflict_do_nothing()
        connection.execute(put, row)
    return version


def remove(engine: Engine, reference: str, force: bool) -> DatasetVersion:
    """Mark a version as deleted, with `force` also one that is tagged or was used; its tags are gone then."""
    with _marking(engine, reference) as connection:
        version = references.find(connection, reference)
        if not force:
            _refuse(connection, version)
        now = time.time()
        table = hpo_dataset_versions
        its = (table.c.name == version.name) & (table.c.version == version.version)
        connection.execute(update(table).where(its).values(deleted=now))
        for other in (hpo_dataset_tags, hpo_dataset_listings):
            mine = (other.c.name == version.name) & (other.c.version == version.version)
            connection.execute(delete(other).where(mine))
    return replace(version, deleted=now)


def _refuse(connection: Connection, version: DatasetVersion) -> None:
    known = references.tags(connection, version.name)
    its = [word for word, number in known.items() if number == version.version]
    if its:
        raise UsageError(
            f"{version.label} has the tag {its[0]}: take it off with `hpo data untag {version.name}@{its[0]}`, "
            "or say --force"
        )
    used = usage.runs(connection, version)
    if used:
        more = f" and {len(used) - 1} more" if len(used) > 1 else ""
        raise UsageError(
            f"{version.label} was used by {used[0]}{more} (hpo data runs {version.label}): say --force to delete it "
            "all the same"
        )


@contextlib.contextmanager
def _marking(engine: Engine, reference: str) -> Iterator[Connection]:
    """A transaction in which nobody else changes the dataset."""
    with changing(engine, lock(reference.partition("@")[0])) as connection:
        yield connection
        point("dataset.change")
    point("dataset.changed")
