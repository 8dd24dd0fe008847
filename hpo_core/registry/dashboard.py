"""What optuna-dashboard shows of the registry: a table in the note of each study that a model's versions came from.

Beside it, the attribute `registry/production` of a study says `v3 (trial 13)`: attributes are all of it that survives
when a study is renamed in a dashboard. Both are written in the transaction that changes the registry. No driver ever
writes these keys, so it does not matter whether one runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, delete, select

from hpo_core.registry import references, tagging
from hpo_core.registry.references import ARCHIVED
from hpo_core.storage.notes import put_attributes, put_section
from hpo_core.storage.tables import hpo_model_versions as versions
from hpo_core.storage.tables import studies
from hpo_core.storage.tables import study_user_attributes as table

PREFIX = "registry/"
SECTION = "models"
SHOWN = 50
"""The most versions of a study that its note lists, the newest first; the others are counted."""


def show(connection: Connection, name: str) -> None:
    """Write the notes and attributes of every study that a version of the model came from and that is still there."""
    its = select(versions.c.study_id).where(versions.c.name == name).distinct()
    ids = select(studies.c.study_id).where(studies.c.study_id.in_(its)).order_by(studies.c.study_id)
    # one after another by their ids, and not so that a driver that adds trials would wait
    for study_id in connection.execute(ids.with_for_update(key_share=True)).scalars().all():
        mine = _of(connection, study_id)
        _put_attributes(connection, study_id, _attributes(mine))
        put_section(connection, study_id, SECTION, _table(mine))


@dataclass(frozen=True)
class _Version:
    """What is shown of a version."""

    name: str
    version: int
    study_id: int
    trial: int
    metric: str
    value: float
    sha256: str
    aliases: tuple[str, ...]


def _of(connection: Connection, study_id: int) -> list[_Version]:
    """The versions that came from a study, the newest first."""
    columns = [versions.c[field.name] for field in fields(_Version) if field.name in versions.c]
    query = select(*columns).where(versions.c.study_id == study_id)
    rows = connection.execute(query.order_by(versions.c.created.desc())).all()
    had: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for name in {row.name for row in rows}:
        for alias, number in references.aliases(connection, name).items():
            had[name, number].append(alias)
        for number in tagging.tagged(connection, name, ARCHIVED):
            had[name, number].append(ARCHIVED)
    return [_Version(**row._mapping, aliases=tuple(had[row.name, row.version])) for row in rows]


def _attributes(mine: Sequence[_Version]) -> dict[str, str]:
    """By alias, which of the study's versions has it."""
    several = len({version.name for version in mine}) > 1
    found: defaultdict[str, list[str]] = defaultdict(list)
    for version in mine:
        said = f"v{version.version} (trial {version.trial})"
        for alias in version.aliases:
            if alias != ARCHIVED:
                found[alias].append(f"{version.name} {said}" if several else said)
    return {f"{PREFIX}{alias}": ", ".join(said) for alias, said in found.items()}


def _put_attributes(connection: Connection, study_id: int, values: dict[str, str]) -> None:
    its = (table.c.study_id == study_id) & table.c.key.startswith(PREFIX)
    connection.execute(delete(table).where(its & table.c.key.not_in(list(values))))
    if values:
        put_attributes(connection, table, study_id, values)


def _table(mine: Sequence[_Version]) -> str:
    """The versions of a study in Markdown."""
    head = ("model", "aliases", "trial", "metric", "sha256")
    lines = ["## Model registry", "", _line(head), _line(["---"] * len(head))]
    lines += [_line(_cells(version)) for version in mine[:SHOWN]]
    if len(mine) > SHOWN:
        lines += ["", f"and {len(mine) - SHOWN} older ones: `hpo models list`"]
    return "\n".join(lines)


def _cells(version: _Version) -> Iterator[str]:
    yield f"{version.name}@{version.version}"
    yield ", ".join(version.aliases)
    link = f"/dashboard/studies/{version.study_id}/trials?numbers={version.trial}"
    yield f"[{version.trial}]({link})"
    yield f"{version.metric} {version.value:.6g}"
    yield f"`{version.sha256[:12]}`"


def _line(cells: Iterable[str]) -> str:
    """A row of a table, whose cells stay theirs whatever they hold."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
