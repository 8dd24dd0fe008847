"""Aliases of model versions, which may move, and the stages among them.

An alias is had by one version at a time. Three of them are stages: a version is in one stage at most, and the version
that had the stage before is archived when another one gets it. Archived versions may be many, so that is a tag.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete

from hpo_core.errors import UsageError, nearest
from hpo_core.registry import dashboard, gates, logbook, tagging
from hpo_core.registry.changing import marking
from hpo_core.registry.model_version import ModelVersion
from hpo_core.registry.references import ARCHIVED, LATEST, aliases, find
from hpo_core.storage.database import upsert
from hpo_core.storage.tables import hpo_model_aliases as table

STAGES = ("development", "staging", "production")
"""Exclusive aliases, in the order that a model goes through them."""

_STAGES = (*STAGES, ARCHIVED)

_ALIAS = re.compile(r"(?![vV]?[0-9]+$)[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Promotion:
    """What giving an alias to a version has changed.

    `previous` is the version that had the alias, None: nobody had it, or the same version. `left` is the stage that the
    version was in before. `archived` tells whether the previous version is archived now.
    """

    version: ModelVersion
    alias: str
    previous: int | None = None
    archived: bool = False
    left: str | None = None
    changed: bool = True

    @property
    def doubts(self) -> list[str]:
        """What the gates that it has just passed leave open; nothing where none was asked."""
        asked = self.changed and self.alias in gates.GUARDED
        return list(gates.doubts(self.version)) if asked else []


def promote(engine: Engine, reference: str, alias: str, *, archive: bool = True) -> Promotion:
    """Give an alias to a version, in one step; without `archive` the version that had a stage is merely without it.

    Raises UsageError for what is no alias, and GateError for a version that may not have it.
    """
    _check(alias)
    name = reference.partition("@")[0]
    with marking(engine, name) as connection:
        version = find(connection, reference)
        if alias == ARCHIVED:
            return _archive(connection, version)
        gates.admit(version, alias)
        known = aliases(connection, name)
        if known.get(alias) == version.version:
            return Promotion(version, alias, changed=False)
        done = _move(connection, version, alias, known, archive)
        dashboard.show(connection, name)
    return done


def archive(engine: Engine, reference: str) -> Promotion:
    """Take a version out of its stage, and mark it as archived."""
    with marking(engine, reference.partition("@")[0]) as connection:
        return _archive(connection, find(connection, reference))


def unalias(engine: Engine, name: str, alias: str) -> int:
    """Take an alias away; the version that had it. Raises UsageError when none has."""
    with marking(engine, name) as connection:
        known = aliases(connection, name)
        if alias not in known:
            find(connection, name)  # or there is no such model
            raise UsageError(_no_alias(name, alias, list(known)))
        _remove(connection, name, alias)
        logbook.write(connection, name, known[alias], event="alias_removed", alias=alias)
        dashboard.show(connection, name)
    return known[alias]


def stage_of(aliases: Collection[str], its_tags: Collection[str]) -> str | None:
    """The stage that a version with these aliases and tags is in; `archived` counts as one."""
    stage = next((alias for alias in STAGES if alias in aliases), None)
    return stage or (ARCHIVED if ARCHIVED in its_tags else None)


def _move(
    connection: Connection,
    version: ModelVersion,
    alias: str,
    known: dict[str, int],
    archive: bool,
) -> Promotion:
    name, number, previous = version.name, version.version, known.get(alias)
    left = None
    if alias in STAGES:
        left = next((each for each in STAGES if known.get(each) == number), None)
        if left is not None:
            _remove(connection, name, left)
        tagging.remove(connection, name, number, ARCHIVED)
    archived = archive and alias in STAGES and previous is not None
    if archived and previous is not None:
        tagging.put(connection, name, previous, ARCHIVED, _today())
        by = f"{name}@{number}"
        logbook.write(connection, name, previous, event="archived", by=by, left=alias)
    _put(connection, name, alias, number)
    about = {"alias": alias, "previous": previous, "left": left}
    logbook.write(connection, name, number, event="promoted", **about)
    return Promotion(version, alias, previous, archived, left)


def _archive(connection: Connection, version: ModelVersion) -> Promotion:
    name, number = version.name, version.version
    known = aliases(connection, name)
    left = next((each for each in STAGES if known.get(each) == number), None)
    if left is None and ARCHIVED in tagging.of(connection, name, number):
        return Promotion(version, ARCHIVED, changed=False)
    if left is not None:
        _remove(connection, name, left)
    tagging.put(connection, name, number, ARCHIVED, _today())
    logbook.write(connection, name, number, event="archived", left=left)
    dashboard.show(connection, name)
    return Promotion(version, ARCHIVED, left=left)


def _check(alias: str) -> None:
    if alias.lower() == LATEST:
        raise UsageError(f"'{LATEST}' is always the newest version: it cannot be given to another")
    if not _ALIAS.fullmatch(alias):
        raise UsageError(
            f"{alias[:200]!a} is no alias: write at most 128 letters, digits, . _ - and not a number: "
            f"{', '.join(_STAGES)} or a word of your own"
        )
    meant = difflib.get_close_matches(alias.lower(), _STAGES, n=1, cutoff=0.85)
    if meant and alias != meant[0] and not re.match(rf"{meant[0]}[._-]\w", alias):
        # no gate is passed by a typing error; production-eu is none
        raise UsageError(f"'{alias}' is no stage - did you mean '{meant[0]}'?")


def _put(connection: Connection, name: str, alias: str, version: int) -> None:
    insert = upsert(connection)(table)
    values = {"version": version, "since": time.time()}
    put = insert.on_conflict_do_update(index_elements=["name", "alias"], set_=values)
    connection.execute(put, {"name": name, "alias": alias} | values)


def _remove(connection: Connection, name: str, alias: str) -> None:
    connection.execute(delete(table).where((table.c.name == name) & (table.c.alias == alias)))


def _no_alias(name: str, alias: str, known: list[str]) -> str:
    hint = nearest(alias, known)
    guess = f" - did you mean '{hint}'?" if hint else f" (it has: {', '.join(known) or 'none'})"
    return f"model '{name}' has no alias '{alias}'{guess}"


def _today() -> str:
    return time.strftime("%Y-%m-%d")
