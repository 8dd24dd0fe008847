"""The rows of tags, within transactions of whoever changes them."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from hpo_core.storage.database import upsert
from hpo_core.storage.tables import hpo_model_tags as table


def of(connection: Connection, name: str, version: int) -> dict[str, str]:
    """The tags of a version, by key."""
    return every(connection, name).get((name, version), {})


def every(connection: Connection, name: str | None = None) -> dict[tuple[str, int], dict[str, str]]:
    """The tags of all versions of one model, or of all, by name and number."""
    query = select(table).order_by(table.c.key)
    if name is not None:
        query = query.where(table.c.name == name)
    found: dict[tuple[str, int], dict[str, str]] = {}
    for row in connection.execute(query):
        found.setdefault((row.name, row.version), {})[row.key] = row.value
    return found


def put(connection: Connection, name: str, version: int, key: str, value: str) -> None:
    """Set a tag, within a transaction."""
    insert = upsert(connection)(table)
    put = insert.on_conflict_do_update(
        index_elements=["name", "version", "key"], set_={"value": value}
    )
    connection.execute(put, {"name": name, "version": version, "key": key, "value": value})


def remove(connection: Connection, name: str, version: int, key: str) -> None:
    """Take a tag off, within a transaction; one that is not there is no error."""
    its = (table.c.name == name) & (table.c.version == version) & (table.c.key == key)
    connection.execute(delete(table).where(its))


def tagged(connection: Connection, name: str, key: str) -> list[int]:
    """The versions of a model that have a tag of this key, ascending."""
    its = (table.c.name == name) & (table.c.key == key)
    return list(
        connection.execute(select(table.c.version).where(its).order_by(table.c.version)).scalars()
    )
