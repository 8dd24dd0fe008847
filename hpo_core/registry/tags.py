"""Tags of model versions: text by a key, for people and scripts. A description is the tag `description`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Engine

from hpo_core.errors import UsageError, nearest
from hpo_core.registry import dashboard, logbook, tagging
from hpo_core.registry.changing import marking
from hpo_core.registry.model_version import ModelVersion
from hpo_core.registry.references import ARCHIVED, find

LONGEST_KEY = 256
LONGEST = 10_000  # characters of a value


def tag(engine: Engine, reference: str, values: Mapping[str, str]) -> ModelVersion:
    """Set tags of a version. Raises UsageError for a key or a value that cannot be one."""
    check_tags(values)
    with marking(engine, reference.partition("@")[0]) as connection:
        version = find(connection, reference)
        for key, value in values.items():
            tagging.put(connection, version.name, version.version, key, value)
            logbook.write(
                connection, version.name, version.version, event="tagged", key=key, value=value
            )
        dashboard.show(connection, version.name)
    return version


def untag(engine: Engine, reference: str, keys: Iterable[str]) -> ModelVersion:
    """Take tags off a version. Raises UsageError for one that it has not."""
    with marking(engine, reference.partition("@")[0]) as connection:
        version = find(connection, reference)
        known = tagging.of(connection, version.name, version.version)
        for key in keys:
            if key == ARCHIVED or key not in known:
                raise UsageError(_no_tag(version, key, list(known)))
            tagging.remove(connection, version.name, version.version, key)
            logbook.write(connection, version.name, version.version, event="untagged", key=key)
        dashboard.show(connection, version.name)
    return version


def check_tags(values: Mapping[str, str]) -> None:
    """Raise UsageError for a key or a value that cannot be one."""
    for key, value in values.items():
        if key == ARCHIVED:
            raise UsageError(f"'{ARCHIVED}' says that a version is archived: hpo models archive")
        if not 0 < len(key) <= LONGEST_KEY or not key.isprintable() or "=" in key:
            raise UsageError(
                f"a tag's key has 1 to {LONGEST_KEY} printable characters and no '=': got {key[:80]!a}"
            )
        if len(value) > LONGEST or "\0" in value or not _encodes(value):
            raise UsageError(f"the value of tag '{key}' is no text of at most {LONGEST} characters")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_tag(version: ModelVersion, key: str, known: list[str]) -> str:
    if key == ARCHIVED:
        return f"'{ARCHIVED}' is taken off by promoting {version.label} to a stage"
    hint = nearest(key, known)
    guess = f" - did you mean '{hint}'?" if hint else f" (it has: {', '.join(known) or 'none'})"
    return f"model {version.label} has no tag '{key}'{guess}"
