"""`NAME@REF`: how people and commands name a model version.

`digits` and `digits@latest` are the newest version, `digits@3` and `digits@v3` are one by its number,
`digits@production` is the one that has the alias, and `digits@archived` the newest that is archived.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection, Engine, select

from hpo_core.errors import UsageError, nearest
from hpo_core.registry import tagging, tombstones
from hpo_core.registry.model_version import ModelVersion, read
from hpo_core.storage.database import connect
from hpo_core.storage.tables import hpo_model_aliases, hpo_model_versions

LATEST = "latest"
ARCHIVED = "archived"
"""The tag of archived versions, which may be many, and the word for the newest of them."""

_NUMBER = re.compile(r"v?([1-9][0-9]*)")


def resolve(engine: Engine, reference: str) -> ModelVersion:
    """The version that a reference means. Raises UsageError with the nearest word."""
    with connect(engine) as connection:
        return find(connection, reference)


def find(connection: Connection, reference: str) -> ModelVersion:
    """As `resolve`, within a transaction."""
    name, _, word = reference.partition("@")
    known = read(connection, name)
    if not known:
        raise UsageError(_no_model(connection, name))
    if word in ("", LATEST):
        return known[-1]
    wanted = _meant(connection, name, word)
    found = next((version for version in known if version.version == wanted), None)
    if found is None:
        raise UsageError(_no_version(connection, name, word, known))
    return found


def number(word: str) -> int | None:
    """The number that is written `3` or `v3`; None for another word."""
    found = _NUMBER.fullmatch(word)
    return None if found is None else int(found[1])


def _meant(connection: Connection, name: str, word: str) -> int | None:
    """The number of the version that a word means, whether there is one or not."""
    given = number(word)
    if given is not None:
        return given
    if word == ARCHIVED:
        return max(tagging.tagged(connection, name, ARCHIVED), default=None)
    return aliases(connection, name).get(word)


def aliases(connection: Connection, name: str) -> dict[str, int]:
    """The aliases of a model, with the versions that have them, by name."""
    table = hpo_model_aliases
    query = select(table.c.alias, table.c.version).where(table.c.name == name)
    return {alias: version for alias, version in connection.execute(query.order_by(table.c.alias))}


def _no_model(connection: Connection, name: str) -> str:
    buried = tombstones.read(connection, name)
    if buried:
        return f"model '{name}' has no version left: {buried[-1]}"
    query = select(hpo_model_versions.c.name).distinct().order_by(hpo_model_versions.c.name)
    known = list(connection.execute(query).scalars())
    hint = nearest(name, known)
    guess = f" - did you mean '{hint}'?" if hint else f" (there is: {', '.join(known) or 'none'})"
    return f"there is no model '{name}'{guess}"


def _no_version(connection: Connection, name: str, word: str, known: list[ModelVersion]) -> str:
    given, first, last = number(word), known[0].version, known[-1].version
    there = f"{first} to {last}" if first < last else f"{last}"
    if given is not None:
        buried = {each.version: each for each in tombstones.read(connection, name)}
        if given in buried:
            return str(buried[given])
        return f"model '{name}' has no version {word}: it has {there}"
    words = [*aliases(connection, name), LATEST]
    hint = nearest(word, words)
    guess = f"did you mean '{hint}'?" if hint else f"it has {', '.join(words)} and {there}"
    return f"model '{name}' has no alias '{word}' - {guess}"
