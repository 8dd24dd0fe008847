"""`NAME@REF`: how people and commands name a version of a dataset.

`digits` and `digits@latest` are the newest version, `digits@3` and `digits@v3` are one by its number, `digits@TAG` is
the one that has the tag.
"""

from __future__ import annotations

import re
import time

from sqlalchemy import Connection, select

from hpo_core.datasets.dataset_version import DatasetVersion, read
from hpo_core.errors import UsageError, nearest
from hpo_core.storage.tables import hpo_dataset_tags, hpo_dataset_versions

LATEST = "latest"
NUMBER = re.compile(r"v?([1-9][0-9]{0,8})")


def find(connection: Connection, reference: str, *, deleted: bool = False) -> DatasetVersion:
    """The version that is meant. Raises UsageError with the nearest word.

    One that was deleted only with `deleted`; of a dataset that has no other, its name means the last one then.
    """
    name, _, word = reference.partition("@")
    known = read(connection, name)
    living = [version for version in known if version.deleted is None]
    eligible = living or (known if deleted else [])
    if not eligible:
        raise UsageError(_no_dataset(connection, name))
    if word in ("", LATEST):
        return eligible[-1]
    written = NUMBER.fullmatch(word)
    number = int(written[1]) if written else tags(connection, name).get(word)
    found = next((version for version in known if version.version == number), None)
    if found is None:
        raise UsageError(_no_version(connection, name, word, len(known)))
    if found.deleted is not None and not deleted:
        day = time.strftime("%Y-%m-%d", time.localtime(found.deleted))
        raise UsageError(
            f"{found.label} was deleted on {day}; `hpo data lineage {found.label}` and `hpo data runs {found.label}` "
            "still tell of it"
        )
    return found


def tags(connection: Connection, name: str) -> dict[str, int]:
    """The tags of a dataset, with the versions that have them, by tag."""
    table = hpo_dataset_tags
    query = select(table.c.tag, table.c.version).where(table.c.name == name).order_by(table.c.tag)
    return {tag: version for tag, version in connection.execute(query)}


def names(connection: Connection) -> list[str]:
    """The names of all datasets that have a version, sorted."""
    table = hpo_dataset_versions
    query = select(table.c.name).where(table.c.deleted.is_(None)).distinct()
    return sorted(connection.execute(query).scalars())


def no_tag(name: str, word: str, known: list[str]) -> str:
    """What is said of a tag that a dataset has not."""
    hint = nearest(word, known)
    guess = f" - did you mean '{hint}'?" if hint else f" (it has: {', '.join(known) or 'none'})"
    return f"dataset '{name}' has no tag '{word}'{guess}"


def _no_dataset(connection: Connection, name: str) -> str:
    known = names(connection)
    hint = nearest(name, known)
    guess = f" - did you mean '{hint}'?" if hint else f" (there is: {', '.join(known) or 'none'})"
    return f"there is no version of a dataset '{name}'{guess}"


def _no_version(connection: Connection, name: str, word: str, last: int) -> str:
    if NUMBER.fullmatch(word):
        return f"dataset '{name}' has no version {word}: it has 1 to {last}"
    return no_tag(name, word, [*tags(connection, name), LATEST])
