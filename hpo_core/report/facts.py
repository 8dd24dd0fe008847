"""Everything that a report is about, read once from the storage and from the study's folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from hpo_core.errors import UsageError
from hpo_core.registry import listing
from hpo_core.registry.listing import Listed, Wanted
from hpo_core.report import attempts, cost
from hpo_core.report.attempts import Course
from hpo_core.report.cost import Cost
from hpo_core.results import class_reports, importance, trials
from hpo_core.results.importance import Importances
from hpo_core.results.query import named
from hpo_core.results.trials import ResultTrial
from hpo_core.space import Distribution, Space
from hpo_core.storage import database
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import ClassReport

MANY = 500
"""Trials; of more of them, how sure importances are is estimated in 20 repetitions, the least that can say p < 0.05."""


@dataclass(frozen=True)
class Facts:
    """A study with at least one finished trial.

    `importances` may be why there are none: too few trials, say. `best` is None where every finished trial failed;
    `classes` is what it reported on classes and after which epoch. `versions` are the models that were registered from
    the study, the newest first. `study_file` is the file as it was understood, references unresolved; `environment`
    what ran the study.
    """

    record: StudyRecord
    trials: Sequence[ResultTrial]
    best: ResultTrial | None
    versions: Sequence[Listed]
    course: Course
    cost: Cost
    importances: Importances | str
    classes: tuple[int, ClassReport] | None
    study_file: str
    environment: Mapping[str, Any]

    @property
    def model(self) -> str | None:
        """The newest version that the best trial became."""
        best = None if self.best is None else self.best.number
        its = (each.version for each in self.versions if each.version.trial == best)
        return next((version.label for version in its), None)

    @property
    def metric(self) -> str:
        """The name of the metric that is optimized."""
        return self.record.metric

    @property
    def maximizes(self) -> bool:
        """Whether more is better."""
        return self.record.goal == "maximize"

    @cached_property
    def longest(self) -> int:
        """The most epochs that a trial reported."""
        return max((trial.epochs for trial in self.trials), default=0)

    @cached_property
    def parameters(self) -> Mapping[str, Distribution]:
        """What was searched."""
        return _parameters(self.record)

    @cached_property
    def ranked(self) -> list[ResultTrial]:
        """The trials that have a value and did not fail, the best first."""
        return ranked(self.trials, self.record)


def gather(engine: Engine, study: str) -> Facts:
    """Read a study. Raises UsageError where there is none of this name, or none of its trials is finished."""
    (record,) = named(engine, [study])
    every = trials.read(engine, record)
    if not any(trial.finished for trial in every):
        raise UsageError(
            f"study '{study}' has no finished trial yet ({len(every)} begun): there is nothing to report"
        )
    course = attempts.read(engine, record)
    best = next((trial for trial in ranked(every, record) if trial.finished), None)
    return Facts(
        record=record,
        trials=every,
        best=best,
        versions=_versions(engine, record),
        course=course,
        cost=cost.of(engine, record, every, course),
        importances=_importances(every, record),
        classes=_classes(engine, record, best),
        study_file=_study_file(Path(record.directory), record),
        environment=_environment(Path(record.directory)),
    )


def _versions(engine: Engine, record: StudyRecord) -> list[Listed]:
    """The models that came from a study, the newest first; none of a database that an older hpo has written."""
    if not database.current(engine):
        return []
    found = listing.find(engine, Wanted(study=record.name))
    its = [each for each in found if each.version.study_id == record.study_id]
    return sorted(its, key=lambda each: each.version.created, reverse=True)


def ranked(every: Sequence[ResultTrial], record: StudyRecord) -> list[ResultTrial]:
    """The trials that have a value and did not fail, the best first; the earliest of equals."""
    sign = -1.0 if record.goal == "maximize" else 1.0
    valued = [(trial.value, trial) for trial in every if not trial.failed]
    known = [
        (value, trial) for value, trial in valued if value is not None and math.isfinite(value)
    ]
    return [trial for _, trial in sorted(known, key=lambda each: (sign * each[0], each[1].number))]


def _parameters(record: StudyRecord) -> Mapping[str, Distribution]:
    objective = record.identity["objective"]
    return Space({key: tree for key, tree in objective.items() if key != "name"}).parameters()


def _importances(every: Sequence[ResultTrial], record: StudyRecord) -> Importances | str:
    """How much the parameters matter, or why that cannot be said.

    Where trials were stopped early, those that completed are the good ones: then what counts is the best up to the
    last epoch that half of the trials reached.
    """
    reached = sorted(
        (trial.epochs for trial in every if not trial.failed and trial.epochs), reverse=True
    )
    stopped = any(trial.state == "pruned" for trial in every)
    enough = max(importance.FEWEST, (len(reached) + 1) // 2)
    epoch = reached[min(enough, len(reached)) - 1] if stopped and reached else None
    try:
        return importance.evaluate(
            every, _parameters(record), epoch=epoch, repeats=50 if len(every) <= MANY else 20
        )
    except UsageError as error:
        return str(error)


def _classes(
    engine: Engine, record: StudyRecord, best: ResultTrial | None
) -> tuple[int, ClassReport] | None:
    """What the best trial reported on classes, at its best epoch, and that epoch."""
    if best is None or not class_reports.steps(engine, record, best.number):
        return None
    return class_reports.read(engine, record, best)


def _study_file(folder: Path, record: StudyRecord) -> str:
    """The study file as it was understood; what the storage knows of it where the folder has gone."""
    import yaml

    try:
        return (folder / "study.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return yaml.safe_dump({"study": record.name} | dict(record.identity), sort_keys=False)


def _environment(folder: Path) -> Mapping[str, Any]:
    """What ran the study last; nothing where the folder has gone."""
    try:
        found = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
