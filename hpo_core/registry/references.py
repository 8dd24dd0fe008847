"""`NAME@REF`: how people and commands name a model version.

`digits` and `digits@latest` are the newest version, `digits@3` and `digits@v3` are one by its number,
`digits@production` is the one that has the alias, and `digits@archived` the newest that is archived.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection, Engine, select

from hpo_core.errors import UsageError, nearest
from hpo_core.registry import tagging
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
    number = _number(connection, name, word)
    found = next((version for version in known if version.version == number), None)
    if found is None:
        raise UsageError(_no_version(connection, name, word, len(known)))
    return found


def _number(connection: Connection, name: str, word: str) -> int | None:
    found = _NUMBER.fullmatch(word)
    if found is not None:
        return int(found[1])
    if word == ARCHIVED:
        return max(tagging.tagged(connection, name, ARCHIVED), default=None)
    return aliases(connection, name).get(word)


def aliases(connection: Connection, name: str) -> dict[str, int]:
    """The aliases of a model, with the versions that have them, by name."""
    table = hpo_model_aliases
    query = select(table.c.alias, table.c.version).where(table.c.name == name)
    return {alias: version for alias, version in connection.execute(query.order_by(table.c.alias))}


def _no_model(connection: Connection, name: str) -> str:
    query = select(hpo_model_versions.c.name).distinct().order_by(hpo_model_versions.c.name)
    known = list(connection.execute(query).scalars())
    hint = nearest(name, known)
    guess = f" - did you mean '{hint}'?" if hint else f" (there is: {', '.join(known) or 'none'})"
    return f"there is no model '{name}'{guess}"


def _no_version(connection: Connection, name: str, word: str, last: int) -> str:
    if _NUMBER.fullmatch(word):
        return f"model '{name}' has no version {word}: it has 1 to {last}"
    known = [*aliases(connection, name), LATEST]
    hint = nearest(word, known)
    guess = f"did you mean '{hint}'?" if hint else f"it has {', '.join(known)} and 1 to {last}"
    return f"model '{name}' has no alias '{word}' - {guess}"
