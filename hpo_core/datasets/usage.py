"""Which studies, trials and models used a version; which versions a study used is in `uses`.

Trials say it themselves: each keeps the root of what it read, in attributes that dashboards show (`hpo_core.record`),
and a model version's provenance has it from its trial. What somebody has linked by hand is told apart. A root is the
same wherever the files lie and whatever the dataset is called, so runs are looked for by it. A version that was deleted
was used all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from hpo_core.datasets.dataset_version import DatasetVersion
from hpo_core.storage.tables import (
    ALL_TRIALS,
    hpo_dataset_links,
    hpo_model_versions,
    studies,
    trial_user_attributes,
    trials,
)

ROOT = "dataset_root"
VERSION = "dataset_version"
"""Attributes of a trial: what it read, and as what that was registered when it began."""

TRAINING = "training"
"""What a study's own dataset is used for."""


@dataclass(frozen=True)
class Run:
    """A trial, or a whole study where `trial` is None, that used a version as `role`. `models` are the model versions
    made from it, `NAME@N`.

    `recorded` is false where somebody has only said so.
    """

    version: DatasetVersion
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
        return {
            "version": self.version.label,
            "deleted": self.version.deleted,
            "study": self.study,
            "study_id": self.study_id,
            "trial": self.trial,
            "role": self.role,
            "recorded": self.recorded,
            "models": list(self.models),
        }


@dataclass(frozen=True)
class _Model:
    """A model version; `learned` tells whether its provenance has the root that was asked for."""

    label: str
    study: str
    study_id: int
    trial: int
    learned: bool


def runs(connection: Connection, version: DatasetVersion) -> list[Run]:
    """Everything that used a version, by study and trial."""
    recorded, linked = list(_recorded(connection, version)), list(_linked(connection, version))
    models = _models(connection, version.root, {run.study_id for run in (*recorded, *linked)})
    own = [model for model in models if model.learned]
    learned = (  # a dashboard may have deleted their study
        Run(version, model.study, model.study_id, model.trial, TRAINING, True) for model in own
    )
    found: dict[tuple[int, int | None, str], Run] = {}
    for run in (*recorded, *learned, *linked):
        found.setdefault((run.study_id, run.trial, run.role), run)
    made = {True: _by_run(own), False: _by_run(models)}
    told = (
        replace(run, models=tuple(made[run.recorded].get((run.study_id, run.trial), ())))
        for run in found.values()
    )
    return sorted(told, key=_place)


def _place(run: Run) -> tuple[str, int, int, str]:
    """A whole study comes before its trials."""
    return run.study, run.study_id, ALL_TRIALS if run.trial is None else run.trial, run.role


def _recorded(connection: Connection, version: DatasetVersion) -> Iterator[Run]:
    table = trial_user_attributes
    query = (
        select(studies.c.study_name, trials.c.study_id, trials.c.number)
        .join(trials, trials.c.trial_id == table.c.trial_id)
        .join(studies, studies.c.study_id == trials.c.study_id)
        .where((table.c.key == ROOT) & (table.c.value_json == json.dumps(version.root)))
    )
    for row in connection.execute(query):
        yield Run(version, row.study_name, row.study_id, row.number, TRAINING, True)


def _linked(connection: Connection, version: DatasetVersion) -> Iterator[Run]:
    table = hpo_dataset_links
    its = (table.c.name == version.name) & (table.c.version == version.version)
    for row in connection.execute(select(table).where(its)):
        trial = None if row.trial == ALL_TRIALS else row.trial
        yield Run(version, row.study, row.study_id, trial, row.role, False)


def _models(connection: Connection, root: str, studies_: set[int]) -> list[_Model]:
    """The model versions whose provenance has a root, and those of some studies."""
    table = hpo_model_versions
    columns = (table.c[n] for n in ("name", "version", "study_id", "trial", "study", "provenance"))
    wanted = table.c.provenance.contains(root) | table.c.study_id.in_(studies_)
    query = select(*columns).where(wanted).order_by(table.c.name, table.c.version)
    return [
        _Model(
            f"{row.name}@{row.version}",
            row.study,
            row.study_id,
            row.trial,
            _root(row.provenance) == root,
        )
        for row in connection.execute(query)
    ]


def _root(provenance: str) -> Any:
    """What the trial of a model version read, if that is known."""
    data = json.loads(provenance).get("dataset")
    return data.get(ROOT) if isinstance(data, dict) else None


def _by_run(models: Iterable[_Model]) -> dict[tuple[int, int | None], list[str]]:
    """Model versions by the study and the trial that they are of, and by the study alone."""
    found: dict[tuple[int, int | None], list[str]] = {}
    for model in models:
        for trial in (model.trial, None):
            found.setdefault((model.study_id, trial), []).append(model.label)
    return found
