"""Reports on classes: how they are refused, travel, are stored, and that nobody keeps them in memory."""

from __future__ import annotations

import gc
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from driving import open_study
from postgres import Postgres
from sqlalchemy import Engine

from hpo_core import ClassReport, Ending, Outcome, Report, Run, runner
from hpo_core.catalog import Catalog, Entry
from hpo_core.results import class_reports, trials
from hpo_core.spec import StudySpec
from hpo_core.storage import database, studies, tables
from hpo_core.storage.ledger import Ledger
from hpo_core.workers.frames import Reader, encode

MakeSpec = Callable[..., StudySpec]

AWKWARD = (
    "",
    "10",
    "2",
    "a\x00b",
    "\ud800",
    "Füchse; DROP TABLE studies",
    "x" * 3000,
    "\U0001f98a",
)
"""Names that folders may have, or annotations."""


def judged(classes: tuple[str, ...] = AWKWARD, images: int = 3) -> ClassReport:
    size = len(classes)
    measure = tuple(index / size for index in range(size))
    confusion = tuple((index, (index + 1) % size, images) for index in range(size))
    return ClassReport(
        classes, measure, measure, measure, confusion, {"all\x00": tuple(range(size))}
    )


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    shutil.copy(empty_database, tmp_path / "hpo.db")
    engine = database.open_or_create(f"sqlite:///{tmp_path}/hpo.db")
    yield engine
    engine.dispose()


def ledger_of(engine: Engine | None) -> Ledger:
    if engine is None:
        return Ledger(None, 1, "s", "maximize", "a")
    identity = {"metric": {"name": "a", "goal": "maximize"}, "objective": {"name": "toy"}}
    record = studies.find(engine, "s") or studies.create(engine, "s", "maximize", identity, 9, "r")
    return Ledger(engine, record.study_id, "s", "maximize", "a")


def stored(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sqlalchemy.select(tables.hpo_class_reports)))


# ---- what an objective may say ----


def test_json_and_back() -> None:
    report = Report(3, {"a": 0.5}, classes=judged())
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"f1": (0.5,)}, "1 f1 for 8 classes"),
        ({"recall": ("0.5",) * 8}, "recall that are no numbers"),
        ({"classes": tuple(range(8))}, "no text"),
        ({"confusion": ((0, 8, 1),)}, "beyond its 8"),
        ({"confusion": ((-1, 0, 1),)}, "beyond its 8"),
        ({"confusion": ((0, 0, -1),)}, "counts images"),
        ({"confusion": ((0, 0, 0.5),)}, "counts images"),
        ({"groups": {"a": (8,)}}, "beyond its 8"),
        ({"groups": {"a": (0.0,)}}, "or not by int"),
    ],
)
def test_a_report_that_could_not_be_read_back_is_refused(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        replace(judged(), **changes)


def test_numbers_that_json_does_not_know_are_refused() -> None:
    import numpy

    with pytest.raises(ValueError, match="no numbers of Python's"):
        replace(judged(), f1=tuple(numpy.zeros(8, dtype="float32")))
    with pytest.raises(ValueError, match="or not by int"):
        replace(judged(), confusion=((numpy.int64(0), 0, 1),))  # type: ignore[arg-type]


# ---- on its way ----


def test_a_thousand_classes_pass_a_socket() -> None:
    """Each class is taken for ten others: a frame of several buffers arrives whole."""
    names = tuple(f"class {index}" for index in range(1000))
    confusion = tuple((i, (i + d) % 1000, 5) for i in range(1000) for d in range(10))
    report = Report(1, {"a": 0.5}, classes=replace(judged(names), confusion=confusion))
    frame = encode({"report": report.to_json()})
    assert len(frame) > 1 << 17
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=theirs.sendall, args=(frame,))
        sender.start()
        reader = Reader(ours)
        messages: list[dict[str, Any]] = []
        while not messages:
            messages = reader.read()
        sender.join(10)
    assert Report.from_json(messages[0]["report"]) == report


# ---- stored ----


def test_it_is_stored_with_the_commit_of_its_report(engine: Engine) -> None:
    ledger = ledger_of(engine)
    ledger.record("report", 0)
    ledger.record_metrics(0, 2, Report(3, {"a": 0.5}, classes=judged()))
    ledger.record_metrics(1, 1, Report(1, {"a": 0.5}))
    assert stored(engine) == []
    ledger.commit()
    (row,) = stored(engine)
    assert (row.trial, row.attempt, row.step) == (0, 2, 3)
    assert row.data.isascii() and "\x00" not in row.data
    assert ClassReport.from_json(json.loads(row.data)) == judged()
    ledger.record("report", 0)
    ledger.commit()
    assert len(stored(engine)) == 1


def test_on_postgresql_too(postgres: Postgres) -> None:
    engine = database.open_or_create(postgres.fresh())
    ledger = ledger_of(engine)
    ledger.record("report", 0)
    ledger.record_metrics(0, 1, Report(1, {"a": 0.5}, classes=judged()))
    ledger.commit()
    (row,) = stored(engine)
    assert ClassReport.from_json(json.loads(row.data)) == judged()
    engine.dispose()


def test_nothing_is_kept_where_there_is_no_database() -> None:
    ledger = ledger_of(None)
    ledger.record("report", 0)
    ledger.record_metrics(0, 1, Report(1, {"a": 0.5}, classes=judged()))
    assert ledger._classes == []


def test_a_study_of_whose_id_another_was_deleted_inherits_nothing(engine: Engine) -> None:
    ledger = ledger_of(engine)
    ledger.record("report", 0)
    ledger.record_metrics(0, 1, Report(1, {"a": 0.5}, classes=judged()))
    ledger.commit()
    address = str(engine.url)
    optuna.delete_study(study_name="s", storage=address)  # as a dashboard does
    again = studies.create(engine, "t", "maximize", {"metric": {"name": "a"}}, 9, "r")
    assert again.study_id == ledger._study_id  # SQLite gives it away again
    assert stored(engine) == []
    with engine.connect() as connection:
        for table in (tables.hpo_events, tables.hpo_metrics):
            assert connection.execute(sqlalchemy.select(table)).all() == []
    assert [record.name for record in studies.all_studies(engine)] == ["t"]


# ---- in a study ----


def grading(run: Run, *, x: float, y: float) -> None:
    """An objective that reports on classes, the later the better."""
    for epoch in (1, 2):
        loss = (x - 1) ** 2 + y**2 + 1 / epoch
        run.report(epoch, {"loss": loss}, judged(("a", "b"), epoch))


def test_a_driver_forgets_what_is_stored(make_spec: MakeSpec, catalog: Catalog) -> None:
    study = open_study(make_spec(trials=1), catalog)
    trial = study.ask()
    assert trial is not None
    for step in (1, 2):
        study.report(trial, Report(step, {"loss": 1.0}, classes=judged()))
    study.commit()
    gc.collect()
    assert not [
        thing
        for thing in gc.get_objects()
        if type(thing) is ClassReport and thing.classes == AWKWARD
    ]
    assert study._ledger._classes == []
    study.finish(trial, Outcome(Ending.COMPLETED))


def test_a_study_stores_them_beside_its_events(make_spec: MakeSpec, catalog: Catalog) -> None:
    catalog.add(Entry("objectives", "grading", grading, "tests", "tests"))
    spec = make_spec(trials=3, **{"name: bowl,": "name: grading,"})
    assert runner.run(spec, catalog, []) is None
    engine = database.open_existing(spec.storage)
    assert [(row.trial, row.step) for row in stored(engine)] == [
        (trial, step) for trial in range(3) for step in (1, 2)
    ]
    (record,) = studies.all_studies(engine)
    trial = trials.read(engine, record)[1]
    assert class_reports.read(engine, record, trial) == (2, judged(("a", "b"), 2))
    assert class_reports.read(engine, record, trial, 1) == (1, judged(("a", "b"), 1))
    with engine.connect() as connection:
        events = connection.execute(sqlalchemy.select(tables.hpo_events.c.data)).scalars().all()
    assert not any("confusion" in text for text in events)
    engine.dispose()


def test_of_an_epoch_done_again_the_last_attempt_counts(
    make_spec: MakeSpec, catalog: Catalog
) -> None:
    spec = make_spec(trials=1)
    study = open_study(spec, catalog)
    first = study.ask()
    assert first is not None
    study.report(first, Report(1, {"loss": 1.0}, classes=judged(("a", "b"), 1)))
    study.finish(first, Outcome(Ending.LOST))
    second = study.ask()
    assert second is not None and second.attempt == 2
    study.report(second, Report(1, {"loss": 1.0}, classes=judged(("a", "b"), 2)))
    study.report(first, Report(2, {"loss": 1.0}, classes=judged(("a", "b"), 9)))  # too late
    study.finish(second, Outcome(Ending.COMPLETED))
    engine = database.open_existing(spec.storage)
    assert [(row.attempt, row.step) for row in stored(engine)] == [(1, 1), (2, 1)]
    (record,) = studies.all_studies(engine)
    (trial,) = trials.read(engine, record)
    assert class_reports.read(engine, record, trial) == (1, judged(("a", "b"), 2))
    engine.dispose()


def test_a_trial_scheduler_is_told_what_it_would_be_told_again(
    make_spec: MakeSpec, catalog: Catalog, offer: Callable[..., None]
) -> None:
    study = open_study(make_spec(trials=1), catalog)
    told: list[Report] = []
    judge = study._scheduler.on_report

    def listening(trial: Any, report: Report, score: float) -> Any:
        told.append(report)
        return judge(trial, report, score)

    study._scheduler.on_report = listening
    trial = study.ask()
    assert trial is not None
    study.report(trial, Report(1, {"loss": 1.0}, classes=judged()))
    assert [report.classes for report in told] == [None]
