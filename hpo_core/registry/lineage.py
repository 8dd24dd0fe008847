"""Where a model version comes from, as a graph: data, code, study, trial, the trials it was cloned from, versions.

An edge goes from what was used to what was made with it. What an older hpo did not record, or what was deleted in a
dashboard, is left out. Data that somebody has linked to the study or to one of the trials (`hpo data link`) says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, select

from hpo_core.registry.model_version import ModelVersion, read
from hpo_core.storage.database import connect, display_all
from hpo_core.storage.tables import (
    ALL_TRIALS,
    hpo_dataset_links,
    hpo_dataset_versions,
    trial_user_attributes,
    trials,
)


@dataclass(frozen=True)
class Node:
    """Something that a version depends on, or the version. `kind` is data, code, study, trial or version."""

    id: str
    kind: str
    label: str


@dataclass(frozen=True)
class Lineage:
    """Nodes by id, the version last; edges as (used, made, how)."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo models lineage --json`."""
        edges = [{"from": used, "to": made, "how": how} for used, made, how in self.edges]
        return {"nodes": [asdict(node) for node in self.nodes], "edges": edges}

    def lines(self) -> Iterator[str]:
        """The graph as a tree, from the version back to what it was made with."""
        yield from _tree(self, self.nodes[-1].id, "", "")


def lineage(engine: Engine, version: ModelVersion) -> Lineage:
    """The lineage of a version."""
    with connect(engine) as connection:
        ancestors = _ancestors(connection, version.study_id, version.trial)
        linked = list(_linked(connection, version.study_id))
        deleted = _deleted(connection)
        others = read(connection)
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str, str]] = []

    def add(kind: str, key: object, label: str) -> str:
        found = f"{kind}:{key}"
        nodes.setdefault(found, Node(found, kind, label))
        return found

    def link(number: int, node: str) -> None:
        for trial, key, label, role in linked:
            if trial == number:
                edges.append((add("data", key, label), node, f"linked by hand as {role}"))

    study = add("study", version.study_id, f"study {version.study}")
    for kind, key, label in _sources(version, deleted):
        edges.append((add(kind, key, label), study, "used by"))
    link(ALL_TRIALS, study)
    made = None
    for number, step in [*reversed(ancestors), (version.trial, None)]:
        its = add("trial", f"{version.study_id}/{number}", f"trial {number}")
        edges.append((study, its, "proposed"))
        link(number, its)
        if made is not None:
            edges.append((made[0], its, f"cloned after epoch {made[1]}"))
        made = its, step
        edges += [
            (its, add("version", other.label, f"model {other.label}"), "registered as")
            for other in others
            if (other.study_id, other.trial) == (version.study_id, number)
            and other.label != version.label
        ]
    assert made is not None
    edges.append(
        (made[0], add("version", version.label, f"model {version.label}"), "registered as")
    )
    return Lineage(tuple(nodes.values()), tuple(edges))


def _sources(version: ModelVersion, deleted: set[str]) -> Iterator[tuple[str, object, str]]:
    """What the study was run with: data and code."""
    kept = version.provenance.get("dataset")
    data = kept if isinstance(kept, Mapping) else version.config.get("dataset")
    if isinstance(data, Mapping):
        data = display_all(data)
        label = ", ".join(
            f"{key} {value}"
            for key, value in data.items()
            if not isinstance(value, dict | list) and key != "dataset_version"
        )
        its = data.get("dataset_version")
        version_of = f"{its}{' (deleted)' if str(its) in deleted else ''}: " if its else ""
        key = json.dumps(data, sort_keys=True, default=str)
        yield "data", key, f"data {version_of}{label}"
    if version.git_commit is not None:
        yield "code", version.git_commit, f"code {version.git_commit}"


def _deleted(connection: Connection) -> set[str]:
    """The versions of data that were deleted: `NAME@N`."""
    table = hpo_dataset_versions
    query = select(table.c.name, table.c.version).where(table.c.deleted.is_not(None))
    return {f"{name}@{version}" for name, version in connection.execute(query)}


def _linked(connection: Connection, study_id: int) -> Iterator[tuple[int, str, str, str]]:
    """What somebody has linked to a study: the trial or ALL_TRIALS, the version, its words, as what it was used."""
    links, versions = hpo_dataset_links, hpo_dataset_versions
    same = (links.c.name == versions.c.name) & (links.c.version == versions.c.version)
    query = select(links, versions.c.root, versions.c.deleted).join(versions, same)
    order = links.c.name, links.c.version, links.c.role
    for row in connection.execute(query.where(links.c.study_id == study_id).order_by(*order)):
        label = f"{row.name}@{row.version}"
        gone = "" if row.deleted is None else " (deleted)"
        yield row.trial, label, f"data {label}{gone}: dataset_root {row.root}", row.role


def _ancestors(connection: Connection, study_id: int, number: int) -> list[tuple[int, int]]:
    """The trials that a trial was cloned from, the nearest first, each with the epoch of the clone's beginning."""
    found: list[tuple[int, int]] = []
    current = number
    while True:
        table = trial_user_attributes
        query = (
            select(table.c.key, table.c.value_json)
            .join(trials, trials.c.trial_id == table.c.trial_id)
            .where((trials.c.study_id == study_id) & (trials.c.number == current))
            .where(table.c.key.in_(("parent", "parent_step")))
        )
        about = {key: json.loads(text) for key, text in connection.execute(query)}
        parent = about.get("parent")
        if not isinstance(parent, int) or parent in [number, *(each for each, _ in found)]:
            return found
        found.append((parent, about.get("parent_step", 0)))
        current = parent


def _tree(graph: Lineage, node: str, how: str, indent: str) -> Iterator[str]:
    label = next(each.label for each in graph.nodes if each.id == node)
    yield f"{indent}{label}{f' ({how})' if how else ''}"
    for used, made, manner in graph.edges:
        if made == node:
            yield from _tree(graph, used, manner, f"{indent}  ")
