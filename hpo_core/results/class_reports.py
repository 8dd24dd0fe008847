"""What trials reported on classes, as it is stored: one report for each epoch of each attempt, where there is one."""

from __future__ import annotations

import json

from sqlalchemy import Engine, inspect, select

from hpo_core.errors import UsageError
from hpo_core.results.trials import ResultTrial
from hpo_core.storage import tables
from hpo_core.storage.database import connect
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import ClassReport


def steps(engine: Engine, record: StudyRecord, trial: int) -> list[int]:
    """The epochs after which a trial reported on classes."""
    table = tables.hpo_class_reports
    query = (
        select(table.c.step)
        .where(table.c.study_id == record.study_id, table.c.trial == trial)
        .distinct()
        .order_by(table.c.step)
    )
    with connect(engine) as connection:
        if not inspect(connection).has_table(table.name):  # written by an older hpo
            return []
        return list(connection.execute(query).scalars())


def read(
    engine: Engine, record: StudyRecord, trial: ResultTrial, step: int | None = None
) -> tuple[int, ClassReport]:
    """What a trial reported on classes, by its last attempt at that epoch, and the epoch: its best one unless named.

    Raises UsageError where there is nothing.
    """
    known = steps(engine, record, trial.number)
    if not known:
        raise UsageError(
            f"trial {trial.number} of study '{record.name}' reported nothing on classes: its objective does not, or it "
            "was run by an older hpo"
        )
    wanted = trial.best_step if step is None else step
    if step is None and wanted not in known:
        wanted = known[-1]
    if wanted not in known:
        raise UsageError(f"trial {trial.number} reported on classes after epochs {_spans(known)}")
    table = tables.hpo_class_reports
    key = (
        (table.c.study_id == record.study_id)
        & (table.c.trial == trial.number)
        & (table.c.step == wanted)
    )
    query = select(table.c.data).where(key).order_by(table.c.attempt.desc()).limit(1)
    with connect(engine) as connection:
        text = connection.execute(query).scalar_one()
    assert wanted is not None
    return wanted, ClassReport.from_json(json.loads(text))


def _spans(known: list[int]) -> str:
    """`1-4, 6`."""
    spans: list[list[int]] = []
    for step in known:
        if spans and step == spans[-1][-1] + 1:
            spans[-1][1:] = [step]
        else:
            spans.append([step])
    return ", ".join("-".join(str(end) for end in span) for span in spans)
