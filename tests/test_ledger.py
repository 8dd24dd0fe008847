"""The ledger: it writes what Optuna would have written, and no failed or killed commit loses or halves a step."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, Table, UniqueConstraint, text

from hpo_core import Ending, Event, Outcome, Report
from hpo_core.catalog import Catalog
from hpo_core.errors import StorageError
from hpo_core.execution import execute
from hpo_core.spec import StudySpec
from hpo_core.storage import database, reading, studies, tables
from hpo_core.storage.ledger import Ledger
from hpo_core.storage.mirror import MirrorStorage
from hpo_core.study import DrivenStudy

MakeSpec = Callable[..., StudySpec]


class TestMirrorStorage(StorageTestCase):
    """Optuna's own contract of a storage."""

    @pytest.fixture
    def storage(self) -> MirrorStorage:
        return MirrorStorage()


@pytest.fixture
def engine(storage: str) -> Iterator[Engine]:
    engine = database.open_or_create(storage)
    yield engine
    engine.dispose()


def open_ledger(engine: Engine) -> Ledger:
    """The ledger of the study `s`, which is created when it is not there."""
    record = studies.find(engine, "s") or studies.create(
        engine, "s", "maximize", {"metric": {"name": "accuracy", "goal": "maximize"}}, 9, "runs"
    )
    return Ledger(engine, record.study_id, "s", "maximize", "accuracy")


def open_study(
    spec: StudySpec, catalog: Catalog, observers: tuple[Callable[[Event], None], ...] = ()
) -> DrivenStudy:
    """Open or create a study as the runner does."""
    engine = database.open_or_create(spec.storage)
    record = studies.find(engine, spec.study) or studies.create(
        engine, spec.study, spec.goal, spec.identity(), spec.budget.trials, "runs"
    )
    ledger = Ledger(engine, record.study_id, spec.study, spec.goal, spec.metric)
    return DrivenStudy(spec, spec.budget, ledger, catalog, observers=observers)


def drive(study: DrivenStudy, catalog: Catalog) -> None:
    """Run every trial to its end."""
    while (trial := study.ask()) is not None:
        outcome = execute(trial, catalog, lambda report, trial=trial: study.report(trial, report))
        study.finish(trial, outcome)


def facts(trial: FrozenTrial) -> dict[str, Any]:
    """All of a trial but its id; NaN as a word, because it equals nothing."""
    steps = trial.intermediate_values
    return {
        "number": trial.number,
        "state": trial.state,
        "values": trial.values,
        "start": trial.datetime_start,
        "complete": trial.datetime_complete,
        "params": {name: (type(value), value) for name, value in trial.params.items()},
        "distributions": trial.distributions,
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "steps": {k: "nan" if math.isnan(v) else v for k, v in steps.items()},
    }


# ---- our declarations of Optuna's tables ----


@pytest.mark.parametrize("ours", tables.optuna_metadata.tables.values(), ids=str)
def test_the_tables_are_optunas(ours: Table) -> None:
    theirs = models.BaseModel.metadata.tables[ours.name]
    assert {column.name: column_facts(column) for column in ours.columns} == {
        column.name: column_facts(column) for column in theirs.columns
    }
    assert unique(ours) <= unique(theirs)  # what rows are overwritten by


def column_facts(column: sqlalchemy.Column[Any]) -> tuple[Any, ...]:
    kind = column.type
    enums = tuple(kind.enums) if isinstance(kind, sqlalchemy.Enum) else None
    length = getattr(kind, "length", None)
    precision = getattr(kind, "precision", None)
    return column.primary_key, kind._type_affinity, enums, length, precision


def unique(table: Table) -> set[tuple[str, ...]]:
    found = {
        tuple(column.name for column in constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    }
    indexed = {tuple(c.name for c in index.columns) for index in table.indexes if index.unique}
    return found | indexed


def test_every_table_of_optuna_that_holds_a_study_is_declared() -> None:
    kept_by_optuna = {"version_info", "trial_heartbeats"}  # neither says anything of a study
    theirs = set(models.BaseModel.metadata.tables)
    assert set(tables.optuna_metadata.tables) == theirs - kept_by_optuna


# ---- what is written is what Optuna reads ----


def fill(ledger: Ledger) -> None:
    """Trials in every state, with every sort of value."""
    study, mirror = ledger.study, ledger.mirror
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    mixed = CategoricalDistribution((None, True, 1.5, "a", 7))
    for chosen in mixed.choices:
        study.enqueue_trial({"mixed": chosen})
    values = [1.5, math.inf, -math.inf, 0.0, -1e-300]
    states = [TrialState.COMPLETE, TrialState.PRUNED] * 3
    for value, state in zip(values, states, strict=False):
        trial = study.ask(
            {
                "mixed": mixed,
                "bool": CategoricalDistribution((False, True)),
                "none": CategoricalDistribution((None,)),
                "lr": FloatDistribution(1e-9, 1.0, log=True),
                "grid": FloatDistribution(0.0, 1.0, step=0.1),
                "width": IntDistribution(1, 10**15, log=True),
                "even": IntDistribution(-4, 4, step=2),
                "a.b c'\"%;--\N{SNOWMAN}": FloatDistribution(0.1, 0.3),
            }
        )
        for step, reported in enumerate([0.5, math.nan, math.inf, -math.inf, 1e308], start=1):
            trial.report(reported, step)
        trial.set_user_attr("deep", {"list": [1, None, {"x": 0.1}], "text": "\N{SNOWMAN}"})
        mirror.set_trial_system_attr(trial._trial_id, "mark", [1, 2])
        mirror.set_trial_state_values(trial._trial_id, state, [value])
    failed, running = study.ask(), study.ask()
    mirror.set_trial_state_values(failed._trial_id, TrialState.FAIL)
    running.suggest_float("late", 0, 1)
    study.enqueue_trial({"lr": 0.5}, user_attrs={"who": "me"})
    study.set_user_attr("note", "of the study")


def test_optuna_reads_back_exactly_what_was_written(engine: Engine, storage: str) -> None:
    ledger = open_ledger(engine)
    fill(ledger)
    ledger.commit()
    read = optuna.load_study(study_name="s", storage=RDBStorage(storage))
    assert [facts(trial) for trial in read.trials] == [facts(t) for t in ledger.trials()]
    assert len(read.trials) == 8
    assert [trial.params["mixed"] for trial in read.trials[:5]] == [None, True, 1.5, "a", 7]
    assert read.user_attrs == {"note": "of the study"}
    assert read.metric_names == ["accuracy"]
    assert read.direction is optuna.study.StudyDirection.MAXIMIZE


def test_a_ledger_opened_again_holds_the_same(engine: Engine) -> None:
    first = open_ledger(engine)
    fill(first)
    first.commit()
    second = open_ledger(engine)
    assert [facts(trial) for trial in second.trials()] == [facts(t) for t in first.trials()]
    assert second.study.user_attrs == first.study.user_attrs
    second.commit()
    assert len(open_ledger(engine).trials()) == 8


def test_many_small_commits_write_what_one_does(engine: Engine, storage: str) -> None:
    ledger = open_ledger(engine)
    trial = ledger.study.ask()
    ledger.commit()
    for act in (
        lambda: trial.suggest_float("x", 0, 1),
        lambda: trial.report(1.0, 1),
        lambda: ledger.mirror.set_trial_intermediate_value(trial._trial_id, 1, 2.0),
        lambda: trial.set_user_attr("a", 1),
        lambda: trial.set_user_attr("a", 2),
        lambda: ledger.mirror.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [3.0]),
    ):
        act()
        ledger.commit()
    (read,) = optuna.load_study(study_name="s", storage=storage).trials
    assert facts(read) == facts(ledger.trials()[0])
    assert read.intermediate_values == {1: 2.0} and read.user_attrs == {"a": 2}


def test_an_event_keeps_numbers_that_json_lacks(engine: Engine) -> None:
    ledger = open_ledger(engine)
    told = ledger.record("report", 0, metrics={"a": math.inf, "b": -math.inf}, text="\x00\ud800")
    assert ledger.commit() == [told]
    assert ledger.commit() == []
    assert list(open_ledger(engine).events()) == [told]


def test_metrics_that_are_not_finite_are_null_in_the_long_table(engine: Engine) -> None:
    ledger = open_ledger(engine)
    ledger.record("report", 0)
    ledger.record_metrics(0, 2, Report(3, {"loss": math.nan, "accuracy": 0.5}))
    ledger.commit()
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.select(tables.hpo_metrics)).all()
    study_id = rows[0].study_id
    assert {tuple(row) for row in rows} == {
        (study_id, 0, 2, 3, "loss", None),
        (study_id, 0, 2, 3, "accuracy", 0.5),
    }


SPACE: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-3, 1.0, log=True),
    "kind": CategoricalDistribution(("a", "b")),
}


def test_a_trial_that_no_sampler_proposed_is_stored_like_any(engine: Engine, storage: str) -> None:
    ledger = open_ledger(engine)
    trial_id = ledger.add_trial({"lr": 0.5, "kind": "b"}, SPACE, {"note": 1})
    assert ledger.mirror.get_trial(trial_id).state is TrialState.RUNNING
    ledger.mirror.set_trial_user_attr(trial_id, "attempt", 1)
    ledger.commit()
    (read,) = optuna.load_study(study_name="s", storage=storage).trials
    assert facts(read) == facts(ledger.trials()[0])
    assert (read.params, read.system_attrs) == ({"lr": 0.5, "kind": "b"}, {"note": 1})


def test_a_ledger_without_a_database_keeps_its_events() -> None:
    ledger = Ledger(None, 1, "s", "maximize", "accuracy")
    fill(ledger)
    told = ledger.record("one"), ledger.record("two", 3, x=1)
    assert list(ledger.events()) == []
    assert ledger.commit() == list(told)
    assert ledger.commit() == []
    assert list(ledger.events()) == list(told)
    assert len(ledger.trials()) == 8


def test_a_sampler_sees_what_it_is_shown_and_ask_finds_the_queue(engine: Engine) -> None:
    ledger = open_ledger(engine)
    study, mirror = ledger.study, ledger.mirror
    waiting = study.ask()  # paused: it has had an attempt
    mirror.set_trial_user_attr(waiting._trial_id, "attempt", 1)
    mirror.set_trial_state_values(waiting._trial_id, TrialState.WAITING)
    study.enqueue_trial({"lr": 0.25})
    known = optuna.create_trial(params={"lr": 0.1}, distributions={"lr": SPACE["lr"]}, value=1.0)
    mirror.shown = [known]
    assert study.get_trials(deepcopy=False) == [known]
    assert study.get_trials(deepcopy=False)[0] is known and study.get_trials()[0] is not known
    assert study.get_trials(states=(TrialState.RUNNING,)) == []
    first, second = study.ask(), study.ask()
    assert first.suggest_float("lr", 1e-3, 1.0, log=True) == 0.25  # the one enqueued
    assert (first.number, second.number) == (1, 2)  # and never the one that is paused
    mirror.shown = None
    assert len(study.trials) == 3


def test_two_studies_in_a_database_do_not_mix(make_spec: MakeSpec, catalog: Catalog) -> None:
    one = make_spec(trials=3)
    two = make_spec(trials=2, **{"study: bowl": "study: other"})
    first, second = open_study(one, catalog), open_study(two, catalog)
    for study in (first, second, first, second, first):  # their trials' ids alternate
        trial = study.ask()
        assert trial is not None
        study.report(trial, Report(1, {"loss": 1.0}))
        study.finish(trial, Outcome(Ending.COMPLETED))
    names = {"bowl": 3, "other": 2}
    for name, number in names.items():
        trials = optuna.load_study(study_name=name, storage=one.storage).trials
        assert [trial.number for trial in trials] == list(range(number))
    engine = database.open_existing(one.storage)
    for record in studies.all_studies(engine):
        told = reading.events(engine, record)
        assert [event.seq for event in told] == list(range(len(told)))
        assert record.finished == names[record.name]


# ---- trials that came through Optuna ----


def test_a_trial_enqueued_through_optuna_is_run_first(
    make_spec: MakeSpec, catalog: Catalog
) -> None:
    spec = make_spec(trials=3)
    open_study(spec, catalog)
    wish = optuna.load_study(study_name="bowl", storage=spec.storage)
    wish.enqueue_trial({"x": 1.0, "y": 0.0}, user_attrs={"who": "me"})
    study = open_study(spec, catalog)
    drive(study, catalog)
    trials = optuna.load_study(study_name="bowl", storage=spec.storage).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert trials[0].params == {"x": 1.0, "y": 0.0}
    assert trials[0].value == pytest.approx(1 / 3)
    assert trials[0].user_attrs["who"] == "me" and trials[0].user_attrs["attempt"] == 1
    best = study.best()
    assert best is not None and best.number == 0


def test_a_finished_trial_added_through_optuna_counts(
    make_spec: MakeSpec, catalog: Catalog
) -> None:
    spec = make_spec(trials=2)
    open_study(spec, catalog)
    space: dict[str, BaseDistribution] = {
        "x": FloatDistribution(-10, 10),
        "y": FloatDistribution(-3, 3),
    }
    known = optuna.create_trial(params={"x": 1.0, "y": 0.0}, distributions=space, value=-5.0)
    optuna.load_study(study_name="bowl", storage=spec.storage).add_trial(known)
    study = open_study(spec, catalog)
    drive(study, catalog)
    assert study._ledger.trials()[0].values == [-5.0]
    assert study.counts()["complete"] == 2
    best = study.best()
    assert best is not None and best.number == 0


def test_a_trial_enqueued_while_a_driver_runs_gets_a_number_of_its_own(
    make_spec: MakeSpec, catalog: Catalog
) -> None:
    spec = make_spec(trials=4)
    study = open_study(spec, catalog)
    wish = optuna.load_study(study_name="bowl", storage=spec.storage)
    for x in (1.0, 2.0):
        wish.enqueue_trial({"x": x})  # the first as number 0, which the driver gives away too
        trial = study.ask()
        assert trial is not None
        study.finish(trial, Outcome(Ending.FAILED, "no"))
    drive(open_study(spec, catalog), catalog)
    again = open_study(spec, catalog)
    assert again.done and again.finished == 4
    trials = optuna.load_study(study_name="bowl", storage=spec.storage).trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert [trial.state for trial in trials] == [TrialState.FAIL] * 2 + [TrialState.COMPLETE] * 2
    assert {trial.params["x"] for trial in trials[2:]} == {1.0, 2.0}


# ---- commits that fail ----


def refuse(spec: StudySpec) -> None:
    run_sql(
        spec,
        "CREATE TRIGGER refuse BEFORE INSERT ON hpo_metrics "
        "BEGIN SELECT RAISE(ABORT, 'not in the mood'); END",
    )


def run_sql(spec: StudySpec, statement: str) -> None:
    with database.connect(database.open_existing(spec.storage)) as connection:
        connection.execute(text(statement))


def test_a_refused_commit_loses_nothing_and_can_be_said_again(
    make_spec: MakeSpec, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo_core.study.COMMIT_SECONDS", math.inf)  # no report commits by itself
    spec = make_spec(trials=2)
    told: list[Event] = []
    study = open_study(spec, catalog, (told.append,))
    refuse(spec)
    trial = study.ask()
    assert trial is not None
    study.report(trial, Report(1, {"loss": 2.0, "other": 1.0}))
    for _ in range(2):
        with pytest.raises(StorageError, match="not in the mood"):
            study.commit()
    assert optuna.load_study(study_name="bowl", storage=spec.storage).trials == []
    assert told == []
    run_sql(spec, "DROP TRIGGER refuse")
    study.finish(trial, Outcome(Ending.COMPLETED))
    drive(study, catalog)
    first, second = optuna.load_study(study_name="bowl", storage=spec.storage).trials
    assert (first.state, first.value, first.params) == (TrialState.COMPLETE, 2.0, trial.params)
    assert second.state is TrialState.COMPLETE
    assert [event.seq for event in told] == list(range(len(told)))
    assert list(study._ledger.events()) == told


# ---- kills ----


def killed_at(spec: StudySpec, catalog: Catalog, statement: int) -> bool:
    """Run a study in a child that is killed before its n-th statement; False when it ended before that."""
    child = os.fork()
    if child == 0:
        try:
            _count_down(statement)
            drive(open_study(spec, catalog), catalog)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _count_down(statement: int) -> None:
    left = iter(range(statement, -1, -1))

    @sqlalchemy.event.listens_for(Engine, "before_cursor_execute")
    def _(*_: Any) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_at_any_statement_leaves_whole_steps(
    make_spec: MakeSpec, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo_core.study.COMMIT_SECONDS", -1.0)  # every report does, at any speed
    uncut = make_spec(trials=3, bound=40.0, **{"study: bowl": "study: uncut"})
    drive(open_study(uncut, catalog), catalog)
    expected = optuna.load_study(study_name="uncut", storage=uncut.storage).trials
    kills = 0
    for statement in range(0, 400, 7):
        spec = make_spec(trials=3, bound=40.0, **{"study: bowl": f"study: cut{statement}"})
        if not killed_at(spec, catalog, statement):
            break
        kills += 1
        drive(open_study(spec, catalog), catalog)
        trials = optuna.load_study(study_name=spec.study, storage=spec.storage).trials
        for trial, other in zip(trials, expected, strict=True):
            assert (trial.params, trial.state, trial.values) == (
                other.params,
                other.state,
                other.values,
            )
            assert trial.intermediate_values == other.intermediate_values
        engine = database.open_existing(spec.storage)
        record = studies.find(engine, spec.study)
        assert record is not None and record.finished == 3
        told = reading.events(engine, record)
        assert [event.seq for event in told] == list(range(len(told)))
        engine.dispose()
    assert kills > 5
