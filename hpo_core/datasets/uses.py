"""Which versions a study used, or a trial of it: as its trials have recorded, and as somebody has linked by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from hpo_core.datasets.dataset_version import DatasetVersion, read
from hpo_core.datasets.usage import TRAINING, VERSION
from hpo_core.storage.tables import (
    ALL_TRIALS,
    hpo_dataset_links,
    studies,
    trial_user_attributes,
    trials,
)


@dataclass(frozen=True)
class Use:
    """A version that a study used as `role`, and by which trials; none: by all of them, as somebody has said.

    `recorded` is false where somebody has only said so.
    """

    version: DatasetVersion
    role: str
    recorded: bool
    trials: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """An object of `hpo data used --json`."""
        return {
            "version": self.version.label,
            "root": self.version.root,
            "deleted": self.version.deleted,
            "role": self.role,
            "recorded": self.recorded,
            "trials": list(self.trials),
        }


def uses(connection: Connection, study_id: int, trial: int | None) -> list[Use]:
    """The versions that a study used, or one trial of it; what was recorded, and what was only said beside it."""
    known = {version.label: version for version in read(connection)}
    recorded = _numbers(_recorded_uses(connection, study_id, trial))
    found = [
        Use(known[label], role, True, tuple(numbers))
        for (label, role), numbers in recorded.items()
        if label in known
    ]
    for (label, role), numbers in _numbers(_linked_uses(connection, study_id, trial)).items():
        its = recorded.get((label, role), [])
        more = () if ALL_TRIALS in numbers else tuple(each for each in numbers if each not in its)
        if label in known and (more or ALL_TRIALS in numbers):
            found.append(Use(known[label], role, False, more))
    return sorted(
        found,
        key=lambda use: (use.version.name, use.version.version, use.role, not use.recorded),
    )


def _numbers(uses: Iterable[tuple[str, str, int]]) -> dict[tuple[str, str], list[int]]:
    """The trials by what they used, and as what."""
    found: dict[tuple[str, str], list[int]] = {}
    for label, role, number in uses:
        found.setdefault((label, role), []).append(number)
    return found


def _recorded_uses(
    connection: Connection, study_id: int, trial: int | None
) -> Iterator[tuple[str, str, int]]:
    its = (trials.c.study_id == study_id) & (trial_user_attributes.c.key == VERSION)
    if trial is not None:
        its &= trials.c.number == trial
    query = select(trials.c.number, trial_user_attributes.c.value_json).join(
        trials, trials.c.trial_id == trial_user_attributes.c.trial_id
    )
    for number, text in connection.execute(query.where(its).order_by(trials.c.number)):
        yield json.loads(text) or "", TRAINING, number


def _linked_uses(
    connection: Connection, study_id: int, trial: int | None
) -> Iterator[tuple[str, str, int]]:
    table = hpo_dataset_links
    # SQLite gives the number of a deleted study again, to one of another name
    same = (studies.c.study_id == table.c.study_id) & (studies.c.study_name == table.c.study)
    its = table.c.study_id == study_id
    if trial is not None:
        its &= table.c.trial.in_((trial, ALL_TRIALS))
    query = select(table).join(studies, same).where(its).order_by(table.c.trial)
    for row in connection.execute(query):
        yield f"{row.name}@{row.version}", row.role, row.trial
