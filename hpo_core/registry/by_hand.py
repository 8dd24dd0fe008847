"""A model version of any finished trial that has kept a checkpoint, whenever somebody asks for it.

It is read from the database and the study's folder, without a driver: nothing of the study is changed.
"""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import Engine, select

from hpo_core import checkpoints
from hpo_core.errors import UsageError
from hpo_core.plugins import load
from hpo_core.registry import versions
from hpo_core.registry.candidates import completed, model, saved_report
from hpo_core.registry.versions import Candidate, Registration
from hpo_core.space import Space
from hpo_core.storage import reading, studies, tables
from hpo_core.storage.database import connect
from hpo_core.storage.reading import TrialRow
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Report


def register(
    engine: Engine,
    study: str,
    number: int | None,
    name: str,
    code_path: list[str] | None = None,
) -> Registration:
    """Make the best checkpoint of a trial, of the best one unless it is named, the next version of the model `name`.

    It is measured first, as at the end of a study; `code_path` is where user code may be imported from for that.
    Raises UsageError for what is not there, and StorageError when the checkpoint is damaged or cannot be copied.
    """
    record = studies.called(engine, study)
    row = _trial(engine, record, number)
    saved = saved_report(engine, record, row.number)
    if saved is None:
        raise UsageError(
            f"trial {row.number} of study '{study}' has kept no checkpoint: see `keep` in the study file"
        )
    directory = Path(record.directory)
    with model(row.number, saved, directory) as file:
        if file is None:
            raise UsageError(
                f"the checkpoint of trial {row.number} of study '{study}' holds no {checkpoints.MODEL}"
            )
        candidate = _candidate(engine, record, row, saved, file)
        candidate = completed(candidate, name, load()[0], engine, record, saved.step, code_path)
        return versions.registered(engine, name, candidate, directory.parent / "models")


def _trial(engine: Engine, record: StudyRecord, number: int | None) -> TrialRow:
    if number is None:
        row = reading.best_trial(engine, record)
        if row is None:
            raise UsageError(f"study '{record.name}' has no successful trial yet")
        return row
    row = reading.trial(engine, record, number)
    if row is None:
        raise UsageError(
            f"study '{record.name}' has no trial {number}: see hpo trials {record.name}"
        )
    if row.state not in ("complete", "pruned"):
        raise UsageError(
            f"trial {number} of study '{record.name}' is {row.state}: only one that has ended well is registered"
        )
    return row


def _candidate(
    engine: Engine, record: StudyRecord, row: TrialRow, saved: Report, file: Path
) -> Candidate:
    metrics = dict(saved.metrics)
    tree = {key: item for key, item in record.identity["objective"].items() if key != "name"}
    return Candidate(
        study=record.name,
        study_id=record.study_id,
        trial=row.number,
        metric=record.metric,
        value=metrics.pop(record.metric),
        metrics=metrics,
        params=row.params,
        config=Space(tree).fill(lambda path, _: row.params[path]),
        checkpoint=file,
        code_folder=None,
        git_commit=_commit(engine, record),
    )


def _commit(engine: Engine, record: StudyRecord) -> str | None:
    """The commit that the study was last run with."""
    table = tables.study_user_attributes
    its = (table.c.study_id == record.study_id) & (table.c.key == "git_commit")
    with connect(engine) as connection:
        text = connection.execute(select(table.c.value_json).where(its)).scalar_one_or_none()
    return None if text is None else json.loads(text)
