"""What optuna-dashboard shows of the registry: a table in the note of each study that a model's versions came from.

Beside it, the attribute `registry/production` of a study says `v3 (trial 13)`: attributes are all of it that survives
when a study is renamed in a dashboard. Both are written in the transaction that changes the registry. No driver ever
writes these keys, so it does not matter whether one runs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, delete, select

from hpo_core.registry import markdown, references, tagging
from hpo_core.registry.references import ARCHIVED
from hpo_core.storage.notes import put_attributes, put_section
from hpo_core.storage.tables import hpo_model_versions as versions
from hpo_core.storage.tables import studies
from hpo_core.storage.tables import study_user_attributes as table

PREFIX = "registry/"
SECTION = "models"
SHOWN = 50
"""The most versions of a study that its note lists, the newest first; the others are counted."""


def show(connection: Connection, name: str, left: Iterable[int] = ()) -> None:
    """Write the notes and attributes of every study that a version of the model came from and that is still there.

    `left` are studies that a version came from which is deleted now.
    """
    its = select(versions.c.study_id).where(versions.c.name == name).distinct()
    concerned = studies.c.study_id.in_(its) | studies.c.study_id.in_(list(left))
    ids = select(studies.c.study_id).where(concerned).order_by(studies.c.study_id)
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
    evaluation: str | None
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
    """The versions of a study in Markdown; nothing where there are none any more."""
    if not mine:
        return ""
    head = ("model", "aliases", "trial", "metric", "test", "gates", "sha256")
    rows = [tuple(_cells(version)) for version in mine[:SHOWN]]
    text = f"## Model registry\n\n{markdown.table(head, rows)}"
    if len(mine) > SHOWN:
        text += f"\n\nand {len(mine) - SHOWN} older ones: `hpo models list`"
    return text


def _cells(version: _Version) -> Iterator[str]:
    yield f"{version.name}@{version.version}"
    yield ", ".join(version.aliases)
    link = f"/dashboard/studies/{version.study_id}/trials?numbers={version.trial}"
    yield f"[{version.trial}]({link})"
    yield f"{version.metric} {version.value:.6g}"
    evaluation = json.loads(version.evaluation or "{}")
    yield _measured(evaluation)
    yield _gates(evaluation)
    yield f"`{version.sha256[:12]}`"


def _measured(evaluation: Mapping[str, Any]) -> str:
    """How it does on the test part: the accuracy with its interval, on so many images."""
    accuracy = (evaluation.get("metrics") or {}).get("accuracy")
    if accuracy is None:
        return "not measured"
    interval = (evaluation.get("intervals") or {}).get("accuracy")
    between = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}, "
    return f"accuracy {accuracy:.4f} ({between}n {evaluation['n']})"


def _gates(evaluation: Mapping[str, Any]) -> str:
    gates = evaluation.get("gates") or ()
    failed = [gate["name"] for gate in gates if not gate["passed"]]
    return f"failed: {', '.join(failed)}" if failed else "passed" if gates else ""
