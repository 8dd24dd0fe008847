"""Which studies, trials and models used a version, and which versions a study used.

Trials say it themselves: each keeps the root of what it read, in attributes that dashboards show (`hpo_core.record`),
and a model version's provenance has it from its trial. What somebody has linked by hand is told with it. A root is the
same wherever the files lie and whatever the dataset is called, so runs are looked for by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, select

from hpo_core.datasets.dataset_version import DatasetVersion, read
from hpo_core.storage.tables import (
    hpo_dataset_links,
    hpo_model_versions,
    studies,
    trial_user_attributes,
    trials,
)

ROOT = "dataset_root"
VERSION = "dataset_version"
"""Attributes of a trial: what it read, and as what that was registered when it began."""


@dataclass(frozen=True)
class Run:
    """A trial, or a whole study where `trial` is None, that used a version as `role`. `models` are its versions.

    `recorded` is false where somebody has only said so.
    """

    study: str
    study_id: int
    trial: int | None
    role: str
    recorded: bool
    models: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.study if self.trial is None else f"trial {self.trial} of study {self.study}"

    def to_json(self) -> dict[str, Any]:
        """An object of `hpo data runs --json`."""
        return asdict(self) | {"models": list(self.models)}


@dataclass(frozen=True)
class Use:
    """A version that a study used as `role`, and by which trials; none: by all of them, as somebody has said."""

    version: DatasetVersion
    role: str
    trials: tuple[int, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """An object of `hpo data used --json`."""
        about = {"version": self.version.label, "root": self.version.root}
        return about | {"role": self.role, "trials": list(self.trials)}


def runs(connection: Connection, version: DatasetVersion) -> list[Run]:
    """Everything that used a version, by study and trial."""
    models = _models(connection, version.root)
    found: dict[tuple[int, int | None, str], Run] = {}
    for run in (*_recorded(connection, version.root), *_linked(connection, version)):
        found.setdefault((run.study_id, run.trial, run.role), run)
    for (study_id, trial), (study, _) in models.items():  # a dashboard may have deleted the study
        found.setdefault((study_id, trial, TRAINING), Run(study, study_id, trial, TRAINING, True))
    none: tuple[str, list[str]] = "", []
    told = (
        replace(run, models=tuple(models.get((run.study_id, run.trial), none)[1]))
        for run in found.values()
    )
    return sorted(told, key=lambda run: (run.study, run.study_id, run.trial or -1, run.role))


TRAINING = "training"
"""What a study's own dataset is used for."""


def uses(connection: Connection, study_id: int, trial: int | None) -> list[Use]:
    """The versions that a study used, or one trial of it."""
    its = (trials.c.study_id == study_id) & (trial_user_attributes.c.key == VERSION)
    if trial is not None:
        its &= trials.c.number == trial
    query = select(trials.c.number, trial_user_attributes.c.value_json).join(
        trials, trials.c.trial_id == trial_user_attributes.c.trial_id
    )
    numbers: dict[tuple[str, str], list[int]] = {}
    for number, text in connection.execute(query.where(its).order_by(trials.c.number)):
        numbers.setdefault((json.loads(text) or "", TRAINING), []).append(number)
    table = hpo_dataset_links
    for row in connection.execute(select(table).where(table.c.study_id == study_id)):
        if row.trial == -1:
            numbers.setdefault((f"{row.name}@{row.version}", row.role), [])
        elif trial in (None, row.trial):
            numbers.setdefault((f"{row.name}@{row.version}", row.role), []).append(row.trial)
    known = {version.label: version for version in read(connection)}
    return [
        Use(known[label], role, tuple(dict.fromkeys(found)))
        for (label, role), found in sorted(numbers.items())
        if label in known
    ]


def _recorded(connection: Connection, root: str) -> Iterator[Run]:
    table = trial_user_attributes
    query = (
        select(studies.c.study_name, trials.c.study_id, trials.c.number)
        .join(trials, trials.c.trial_id == table.c.trial_id)
        .join(studies, studies.c.study_id == trials.c.study_id)
        .where((table.c.key == ROOT) & (table.c.value_json == json.dumps(root)))
    )
    for row in connection.execute(query):
        yield Run(row.study_name, row.study_id, row.number, TRAINING, True)


def _linked(connection: Connection, version: DatasetVersion) -> Iterator[Run]:
    table = hpo_dataset_links
    its = (table.c.name == version.name) & (table.c.version == version.version)
    for row in connection.execute(select(table).where(its)):
        trial = None if row.trial == -1 else row.trial
        yield Run(row.study, row.study_id, trial, row.role, False)


def _models(
    connection: Connection, root: str
) -> dict[tuple[int, int | None], tuple[str, list[str]]]:
    """The model versions whose provenance has a root, with the name of their study, by its id and the trial."""
    table = hpo_model_versions
    columns = (table.c[n] for n in ("name", "version", "study_id", "trial", "study", "provenance"))
    query = select(*columns).where(table.c.provenance.contains(root))
    found: dict[tuple[int, int | None], tuple[str, list[str]]] = {}
    for row in connection.execute(query.order_by(table.c.name, table.c.version)):
        data = json.loads(row.provenance).get("dataset")
        if isinstance(data, dict) and data.get(ROOT) == root:
            its = found.setdefault((row.study_id, row.trial), (row.study, []))
            its[1].append(f"{row.name}@{row.version}")
    return found
