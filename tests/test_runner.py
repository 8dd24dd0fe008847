"""The runner: every way a run begins, ends and is begun again, on small studies in this process."""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from hpo_core import Driven, Event, Interrupt, Run, runner
from hpo_core.catalog import Catalog, Entry
from hpo_core.errors import (
    HpoError,
    NoSuccessError,
    PluginError,
    StudyHeldError,
    UsageError,
)
from hpo_core.holding import hold
from hpo_core.registry import versions
from hpo_core.runner import Wishes
from hpo_core.sampling import SamplerContext, SpaceExhausted
from hpo_core.spec import StudySpec, check
from hpo_core.storage import database, reading, studies, tables
from hpo_core.tracking import Trackers
from hpo_core.yaml_source import parse

MakeSpec = Callable[..., StudySpec]
Offer = Callable[[str, str, Any], None]


@pytest.fixture
def offer(catalog: Catalog) -> Offer:
    """Adds a component to the catalog."""
    return lambda kind, name, factory: catalog.add(Entry(kind, name, factory, "tests", "tests"))


@pytest.fixture
def run(catalog: Catalog) -> Callable[..., list[Event]]:
    """Run a study that ends well; the events told."""

    def run_study(spec: StudySpec, **wishes: Any) -> list[Event]:
        told: list[Event] = []
        assert runner.run(spec, catalog, [told.append], Wishes(**wishes)) == 0
        return told

    return run_study


RunStudy = Callable[..., list[Event]]


def stored(spec: StudySpec) -> list[Event]:
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    return reading.events(engine, record)


def rows(spec: StudySpec) -> list[reading.TrialRow]:
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    return reading.trials(engine, record)


def states(spec: StudySpec) -> list[str]:
    return [row.state for row in rows(spec)]


def kinds(events: list[Event]) -> list[str]:
    """The kinds of events that are about no trial."""
    return [event.kind for event in events if event.trial is None or event.kind.startswith("model")]


def everything(spec: StudySpec) -> list[Any]:
    """All that a database holds."""
    engine = database.open_existing(spec.storage)
    every = [*tables.optuna_metadata.tables.values(), *tables.hpo_metadata.tables.values()]
    with engine.connect() as connection:
        return [list(connection.execute(sqlalchemy.select(table))) for table in every]


# ---- to the total ----


def test_a_study_runs_to_its_total(make_spec: MakeSpec, run: RunStudy) -> None:
    spec = make_spec(trials=4, bound=20.0)
    told = run(spec)
    assert kinds(told) == ["study_started", "study_finished"]
    assert told == stored(spec)
    first, last = told[0].data, told[-1].data
    assert (first["target"], first["finished"], first["continued"]) == (4, 0, False)
    assert (last["finished"], last["target"], last["failed"]) == (4, 4, 0)
    assert last["complete"] + last["pruned"] == 4 and last["reason"] == ""
    best = min((row for row in rows(spec) if row.value is not None), key=lambda row: row.value or 0)
    assert (last["best_trial"], last["best_value"]) == (best.number, best.value)
    assert last["best_params"] == best.params


def test_a_finished_study_says_so_and_stores_nothing(make_spec: MakeSpec, run: RunStudy) -> None:
    spec = make_spec(trials=3)
    before = run(spec)
    database_before = everything(spec)
    told = run(spec)
    assert kinds(told) == ["study_started", "study_finished"]
    assert told[-1] == before[-1]
    assert told[0].data["continued"] and told[0].data["finished"] == 3
    assert everything(spec) == database_before


def test_a_greater_budget_continues(make_spec: MakeSpec, run: RunStudy) -> None:
    run(make_spec(trials=2))
    before = rows(make_spec(trials=2))
    spec = make_spec(trials=5)
    told = run(spec)
    assert told[0].data["continued"] and told[0].data["finished"] == 2
    assert len(rows(spec)) == 5 and rows(spec)[:2] == before


def test_a_smaller_budget_ends_at_what_is_there(make_spec: MakeSpec, run: RunStudy) -> None:
    run(make_spec(trials=3))
    spec = make_spec(trials=2)
    told = run(spec)
    assert told[-1].kind == "study_finished" and told[-1].data["target"] == 2
    before = everything(spec)
    run(spec)
    assert everything(spec) == before and len(rows(spec)) == 3


def test_more_adds_to_the_budget_for_good(make_spec: MakeSpec, run: RunStudy) -> None:
    spec = make_spec(trials=2)
    run(spec)
    assert run(spec, more=2)[-1].data["target"] == 4
    before = everything(spec)
    run(spec)  # the same command without --more: still four
    assert everything(spec) == before and len(rows(spec)) == 4
    run(spec, more=1)
    assert len(rows(spec)) == 5
    run(make_spec(trials=3))  # one more in the file, three by --more
    assert len(rows(spec)) == 6


# ---- interrupted ----


def interrupting(number: int, times: int = 1) -> Callable[..., None]:
    """An objective that sends its process a signal in its third trial, once."""
    left = [times]

    def objective(run: Run, *, x: float, y: float) -> None:
        for epoch in (1, 2):
            if run.trial.number == 2 and left[0] > 0:
                left[0] -= 1
                os.kill(os.getpid(), number)
            if run.report(epoch, {"loss": x * x + y / epoch}).stop:
                return

    return objective


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_study_and_the_same_call_continues(
    make_spec: MakeSpec, catalog: Catalog, offer: Offer, run: RunStudy, number: signal.Signals
) -> None:
    offer("objectives", "interrupting", interrupting(number))
    spec = make_spec(trials=5, **{"name: bowl,": "name: interrupting,"})
    told: list[Event] = []
    said: list[str] = []
    handler = signal.getsignal(number)
    code = runner.run(spec, catalog, [told.append], on_interrupt=said.append)
    assert code == 128 + number and said == [number.name]
    assert signal.getsignal(number) is handler
    assert told[-1].kind == "study_stopped"
    assert told[-1].data == {"finished": 2, "target": 5, "reason": number.name}
    assert states(spec) == ["complete", "complete", "paused"]
    before = rows(spec)[:2]
    again = run(spec)
    assert again[0].data["continued"] and again[0].data["finished"] == 2
    assert states(spec) == ["complete"] * 5 and rows(spec)[:2] == before
    assert [row.attempt for row in rows(spec)] == [1, 1, 2, 1, 1]
    assert [event.seq for event in stored(spec)] == list(range(len(stored(spec))))


def test_a_second_signal_stops_at_once(
    make_spec: MakeSpec, catalog: Catalog, offer: Offer, run: RunStudy
) -> None:
    offer("objectives", "interrupting", interrupting(signal.SIGINT, times=2))
    spec = make_spec(trials=3, **{"name: bowl,": "name: interrupting,"})

    class Stubborn:
        """Lets nothing but the second signal end it."""

        def run(self, study: Driven, interrupt: Interrupt) -> None:
            trial = study.ask()
            assert trial is not None and not interrupt.now
            os.kill(os.getpid(), signal.SIGINT)
            try:
                os.kill(os.getpid(), signal.SIGINT)
            finally:
                assert interrupt.now

    offer("executors", "stubborn", Stubborn)
    stubborn = replace(spec, executor={"name": "stubborn"})
    assert runner.run(stubborn, catalog, []) == 130
    assert states(spec) == ["paused"]


def test_an_executor_that_fails_leaves_nothing_running(
    make_spec: MakeSpec, catalog: Catalog, offer: Offer
) -> None:
    class Failing:
        def run(self, study: Driven, interrupt: Interrupt) -> None:
            study.ask()
            study.ask()
            raise ZeroDivisionError

    offer("executors", "failing", Failing)
    spec = make_spec(trials=3)
    with pytest.raises(ZeroDivisionError):
        runner.run(replace(spec, executor={"name": "failing"}), catalog, [])
    assert states(spec) == ["paused", "paused"]


def test_an_executor_that_returns_early_is_a_mistake(
    make_spec: MakeSpec, catalog: Catalog, offer: Offer
) -> None:
    class Lazy:
        def run(self, study: Driven, interrupt: Interrupt) -> None:
            study.ask()

    offer("executors", "lazy", Lazy)
    spec = make_spec(trials=3)
    with pytest.raises(HpoError, match="'lazy' returned before the study was done"):
        runner.run(replace(spec, executor={"name": "lazy"}), catalog, [])
    assert states(spec) == ["paused"]


def test_ctrl_c_that_nobody_sent_passes(
    make_spec: MakeSpec, catalog: Catalog, offer: Offer
) -> None:
    class Raising:
        def run(self, study: Driven, interrupt: Interrupt) -> None:
            raise KeyboardInterrupt

    offer("executors", "raising", Raising)
    with pytest.raises(KeyboardInterrupt):
        runner.run(replace(make_spec(), executor={"name": "raising"}), catalog, [])


# ---- anew, or refused ----


def test_fresh_sets_the_study_and_its_files_aside(
    make_spec: MakeSpec, run: RunStudy, tmp_path: Path
) -> None:
    spec = make_spec(trials=2)
    run(spec)
    folder = tmp_path / "runs" / "bowl"
    (folder / "trials" / "0000").mkdir(parents=True)
    (folder / "trials" / "0000" / "log.txt").write_text("first")
    before = rows(spec)
    run(make_spec(trials=3, **{"seed: 3": "seed: 4"}), fresh=True)
    assert len(rows(spec)) == 3
    aside = replace(spec, study="bowl.1")
    assert rows(aside) == before
    assert (folder.with_name("bowl.1") / "trials" / "0000" / "log.txt").read_text() == "first"
    assert (folder.with_name("bowl.1") / "study.yaml").is_file()
    assert not (folder / "trials").exists() and (folder / "study.yaml").is_file()
    record = studies.find(database.open_existing(spec.storage), "bowl.1")
    assert record is not None and record.directory == str(folder.with_name("bowl.1"))
    run(spec, fresh=True)
    assert len(rows(replace(spec, study="bowl.2"))) == 3
    assert rows(aside) == before
    proposed = [row.params for row in rows(spec)]
    assert proposed == [row.params for row in before]  # the same seed proposes the same again


def test_fresh_never_mixes_with_a_folder_that_is_there(
    make_spec: MakeSpec, run: RunStudy, tmp_path: Path
) -> None:
    spec = make_spec(trials=1)
    run(spec)
    other = tmp_path / "runs" / "bowl.1"  # of a study in another database, say
    other.mkdir()
    (other / "study.yaml").write_text("mine")
    run(spec, fresh=True)
    assert (other / "study.yaml").read_text() == "mine"
    assert (tmp_path / "runs" / "bowl.2" / "study.yaml").is_file()
    assert len(rows(replace(spec, study="bowl.2"))) == 1


def test_fresh_without_a_study_is_a_first_run(make_spec: MakeSpec, run: RunStudy) -> None:
    assert not run(make_spec(trials=1), fresh=True)[0].data["continued"]


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        (
            "x: {float: [-10, 10]}",
            "x: {float: [-9, 10]}",
            "objective.x.float: [-10, 10] became [-9, 10]",
        ),
        ("seed: 3", "seed: 4", "seed: 3 became 4"),
        ("goal: minimize", "goal: maximize", 'metric.goal: "minimize" became "maximize"'),
        ("name: random", "name: tpe", 'sampler.name: "random" became "tpe"'),
        ("bound: 1000000000.0", "bound: 5.0", "trial_scheduler.bound: 1000000000.0 became 5.0"),
        ("y: {float: [-3, 3]}", "y: 1.0", 'objective.y: {"float": [-3, 3]} became 1.0'),
    ],
)
def test_changed_settings_are_refused_with_the_difference(
    make_spec: MakeSpec, run: RunStudy, catalog: Catalog, old: str, new: str, difference: str
) -> None:
    run(make_spec(trials=1))
    before = everything(make_spec())
    changed = make_spec(trials=2, **{old: new})
    with pytest.raises(UsageError) as caught:
        runner.run(changed, catalog, [])
    said = str(caught.value)
    assert f"({difference})" in said
    assert "--fresh" in said and "'bowl'" in said
    assert everything(make_spec()) == before


def test_what_does_not_change_a_trial_may_change(make_spec: MakeSpec, run: RunStudy) -> None:
    run(make_spec(trials=1))
    spec = make_spec(trials=2, **{"seed: 3": "seed: 3\nregister: {best_as: other}"})
    assert run(spec)[-1].kind == "model_skipped"


def test_a_study_that_optuna_made_is_left_alone(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec()
    optuna.create_study(storage=spec.storage, study_name="bowl")
    for fresh in (False, True):
        with pytest.raises(UsageError, match="hpo did not make"):
            runner.run(spec, catalog, [], Wishes(fresh=fresh))


def test_a_study_that_is_held_is_refused(
    make_spec: MakeSpec, catalog: Catalog, tmp_path: Path
) -> None:
    spec = make_spec()
    with hold(tmp_path / "runs" / "bowl", "bowl"), pytest.raises(StudyHeldError):
        runner.run(spec, catalog, [])
    assert studies.all_studies(database.open_existing(spec.storage)) == []


def test_a_missing_executor_is_found_before_a_trial_starts(
    make_spec: MakeSpec, catalog: Catalog
) -> None:
    spec = replace(make_spec(), executor={"name": "cluster"})
    with pytest.raises(PluginError, match="there is no executor 'cluster'"):
        runner.run(spec, catalog, [])
    assert rows(spec) == []


# ---- the end of the space, and no success ----


def test_an_exhausted_space_ends_the_study(
    make_spec: MakeSpec, offer: Offer, run: RunStudy
) -> None:
    def three(context: SamplerContext) -> optuna.samplers.BaseSampler:
        if context.number >= 3:
            raise SpaceExhausted("all 3 points of the grid have been tried")
        return optuna.samplers.RandomSampler(seed=context.seed)

    offer("samplers", "three", three)
    spec = make_spec(trials=9, sampler="three")
    told = run(spec)
    assert told[-1].kind == "study_finished"
    assert told[-1].data["reason"] == "all 3 points of the grid have been tried"
    assert (told[-1].data["finished"], told[-1].data["target"]) == (3, 9)
    before = everything(spec)
    assert run(spec)[-1] == told[-1]
    assert everything(spec) == before
    assert run(spec, more=1)[-1].data["target"] == 10
    assert len(rows(spec)) == 3


@pytest.mark.parametrize("register", ["", "\nregister: {best_as: bowl}"])
def test_no_success_is_an_error_each_time_and_stored_once(
    make_spec: MakeSpec, catalog: Catalog, offer: Offer, register: str
) -> None:
    def failing(run: Run, *, x: float, y: float) -> None:
        raise ValueError("no luck")

    offer("objectives", "failing", failing)
    spec = make_spec(trials=2, **{"name: bowl,": "name: failing,", "seed: 3": f"seed: 3{register}"})
    told: list[Event] = []
    with pytest.raises(NoSuccessError, match="no trial succeeded: hpo trials bowl"):
        runner.run(spec, catalog, [told.append])
    assert told[-1].kind == "study_finished" and told[-1].data["best_trial"] is None
    assert told[-1].data["failed"] == 2
    assert [row.reason for row in rows(spec)] == ["ValueError: no luck"] * 2
    before = everything(spec)
    with pytest.raises(NoSuccessError, match="no trial succeeded"):
        runner.run(spec, catalog, [])
    assert everything(spec) == before


# ---- registration ----


def keeping(run: Run, *, x: float, y: float) -> None:
    """An objective that keeps a checkpoint of every epoch."""
    for epoch in (1, 2):
        path = Path(run.trial.directory, f"epoch-{epoch}.safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{run.trial.number}/{epoch}")
        run.report(epoch, {"loss": x * x * epoch, "other": 0.5}, str(path))


@pytest.fixture
def keeping_spec(make_spec: MakeSpec, offer: Offer) -> StudySpec:
    """A study of three trials whose best checkpoint is registered."""
    offer("objectives", "keeping", keeping)
    return make_spec(
        trials=3,
        **{"name: bowl,": "name: keeping,", "seed: 3": "seed: 3\nregister: {best_as: bowl-model}"},
    )


def models(spec: StudySpec) -> list[versions.ModelVersion]:
    return versions.list_versions(database.open_existing(spec.storage))


def test_the_best_checkpoint_becomes_a_model_version(
    keeping_spec: StudySpec, run: RunStudy, tmp_path: Path
) -> None:
    told = run(keeping_spec)
    assert kinds(told) == ["study_started", "study_finished", "model_registered"]
    (version,) = models(keeping_spec)
    best = told[-2].data["best_trial"]
    assert (version.name, version.version, version.trial) == ("bowl-model", 1, best)
    assert Path(version.path) == tmp_path / "runs/models/bowl-model/1/model.safetensors"
    assert Path(version.path).read_text() == f"{best}/1"  # the best epoch's, not the last's
    assert versions.digest(Path(version.path)) == version.sha256
    assert version.params == told[-2].data["best_params"] and version.metrics == {"other": 0.5}
    assert version.config == {"x": version.params["x"], "y": version.params["y"]}
    assert (told[-1].trial, told[-1].data["name"], told[-1].data["version"]) == (
        best,
        "bowl-model",
        1,
    )
    assert (told[-1].data["sha256"], told[-1].data["path"]) == (version.sha256, version.path)
    before = everything(keeping_spec)
    assert kinds(run(keeping_spec)) == ["study_started", "study_finished", "model_registered"]
    assert everything(keeping_spec) == before


def test_a_kill_between_the_end_and_the_registration_is_made_up_for(
    keeping_spec: StudySpec, run: RunStudy, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(versions, "register", kill)
        with pytest.raises(Killed):
            runner.run(keeping_spec, catalog, [])
    assert models(keeping_spec) == []
    run(keeping_spec)
    assert [version.version for version in models(keeping_spec)] == [1]
    assert len(rows(keeping_spec)) == 3


def test_a_kill_after_the_registration_makes_no_second_version(
    keeping_spec: StudySpec, run: RunStudy
) -> None:
    run(keeping_spec)
    before = models(keeping_spec)
    with database.open_existing(keeping_spec.storage).begin() as connection:
        events = tables.hpo_events
        connection.execute(events.delete().where(events.c.kind == "model_registered"))
    assert kinds(run(keeping_spec))[-1] == "model_registered"
    assert models(keeping_spec) == before


def test_a_better_trial_becomes_the_next_version(keeping_spec: StudySpec, run: RunStudy) -> None:
    run(keeping_spec)
    run(keeping_spec, more=20)
    first, second = models(keeping_spec)
    assert (first.version, second.version) == (1, 2)
    assert second.value < first.value
    assert Path(first.path).read_text() == f"{first.trial}/1"


def test_without_a_checkpoint_there_is_a_reason_and_no_version(
    make_spec: MakeSpec, run: RunStudy
) -> None:
    spec = make_spec(trials=1, **{"seed: 3": "seed: 3\nregister: {best_as: bowl-model}"})
    told = run(spec)
    assert told[-1].kind == "model_skipped"
    assert told[-1].data["reason"].startswith("trial 0 kept no checkpoint")
    before = everything(spec)
    run(spec)
    assert everything(spec) == before and models(spec) == []


def test_a_checkpoint_that_is_gone_is_an_error_that_can_be_mended(
    keeping_spec: StudySpec, run: RunStudy, catalog: Catalog, tmp_path: Path
) -> None:
    runs = tmp_path / "runs" / "bowl" / "trials"
    aside = runs.with_name("elsewhere")

    def move(event: Event) -> None:
        if event.kind == "study_finished":
            runs.rename(aside)

    with pytest.raises(HpoError, match=r"cannot be registered.*No such file"):
        runner.run(keeping_spec, catalog, [move])
    aside.rename(runs)
    run(keeping_spec)
    assert len(models(keeping_spec)) == 1


# ---- trackers ----


class Following:
    """A tracker that writes down what it is told, or misbehaves."""

    def __init__(self, study: Any, *, mood: str = "calm") -> None:
        self.study, self.mood = study, mood
        self.calls: list[str] = []
        FOLLOWED.append(self)

    def on_start(self, trial: Any) -> None:
        self.calls.append(f"start {trial.number}")

    def on_report(self, trial: Any, report: Any) -> None:
        if self.mood == "angry":
            raise OSError("no room")
        if self.mood == "slow":
            RELEASE.wait(20)
        self.calls.append(f"report {trial.number} {report.step} {report.metrics['loss']}")

    def on_finish(self, trial: Any, state: str, value: float | None, reason: str) -> None:
        self.calls.append(f"finish {trial.number} {state} {value} {reason}".strip())

    def close(self) -> None:
        self.calls.append("close")


FOLLOWED: list[Following] = []
RELEASE = threading.Event()


@pytest.fixture
def following(offer: Offer) -> Iterator[None]:
    """The tracker `following`; whatever hangs in it is let go afterwards."""
    FOLLOWED.clear()
    RELEASE.clear()
    offer("trackers", "following", Following)
    yield
    RELEASE.set()


def tracked(make_spec: MakeSpec, *moods: str) -> StudySpec:
    trackers = ", ".join(f"{{name: following, mood: {mood}}}" for mood in moods)
    return make_spec(trials=2, **{"seed: 3": f"seed: 3\ntrackers: [{trackers}]"})


@pytest.mark.usefixtures("following")
def test_a_tracker_hears_everything_in_order(
    make_spec: MakeSpec, run: RunStudy, tmp_path: Path
) -> None:
    spec = tracked(make_spec, "calm")
    told = run(spec)
    (tracker,) = FOLLOWED
    info = tracker.study
    assert (info.name, info.metric, info.goal, info.target) == ("bowl", "loss", "minimize", 2)
    assert info.directory == tmp_path / "runs" / "bowl" and info.directory.is_dir()
    expected = []
    for event in told:
        if event.kind == "trial_started":
            expected.append(f"start {event.trial}")
        elif event.kind == "report":
            expected.append(f"report {event.trial} {event.data['step']} {event.data['value']}")
        elif event.kind == "trial_finished":
            expected.append(f"finish {event.trial} complete {event.data['value']}")
    assert tracker.calls == [*expected, "close"]
    assert len(expected) == 10


@pytest.mark.usefixtures("following")
def test_a_tracker_that_raises_is_switched_off_and_the_study_goes_on(
    make_spec: MakeSpec, run: RunStudy
) -> None:
    spec = tracked(make_spec, "angry", "calm")
    told = run(spec)
    off = [event for event in stored(spec) if event.kind == "tracker_disabled"]
    assert [event.data for event in off] == [
        {"tracker": "following", "reason": "on_report raised OSError: no room"}
    ]
    assert off[0] in told
    assert states(spec) == ["complete"] * 2
    calm = next(tracker for tracker in FOLLOWED if tracker.mood == "calm")
    assert len(calm.calls) == 11


@pytest.mark.usefixtures("following")
def test_a_tracker_that_hangs_is_switched_off_and_the_study_goes_on(
    make_spec: MakeSpec, run: RunStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "Trackers", functools.partial(Trackers, timeout=0.2))
    spec = tracked(make_spec, "slow")
    run(spec)
    (off,) = [event for event in stored(spec) if event.kind == "tracker_disabled"]
    assert off.data["tracker"] == "following" and "on_report" in off.data["reason"]
    assert states(spec) == ["complete"] * 2


@pytest.mark.usefixtures("following")
def test_a_tracker_that_cannot_be_built_is_switched_off(
    make_spec: MakeSpec, run: RunStudy, offer: Offer
) -> None:
    def unbuildable(study: Any) -> None:
        raise RuntimeError("no such server")

    offer("trackers", "unbuildable", unbuildable)
    spec = make_spec(trials=1, **{"seed: 3": "seed: 3\ntrackers: [unbuildable]"})
    run(spec)
    (off,) = [event for event in stored(spec) if event.kind == "tracker_disabled"]
    assert off.data["reason"] == "its construction raised RuntimeError: no such server"


# ---- files and code ----


def test_the_study_is_written_down_as_it_was_understood(
    make_spec: MakeSpec, run: RunStudy, catalog: Catalog, tmp_path: Path
) -> None:
    spec = make_spec(trials=1, **{"seed: 3": "seed: 3\nregister: {best_as: other}"})
    run(spec)
    text = (tmp_path / "runs" / "bowl" / "study.yaml").read_text()
    assert check(parse(text, "study.yaml"), catalog, spec.path) == spec
    environment = json.loads((tmp_path / "runs" / "bowl" / "environment.json").read_text())
    assert set(environment) == {"git_commit", "versions", "command"}
    assert environment["versions"]["optuna"] == optuna.__version__
    assert not list(tmp_path.rglob("*.part"))


def test_no_password_is_written_down(
    make_spec: MakeSpec, run: RunStudy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["hpo", "run", "s.yaml", "storage=postgresql://me:canary-1@host/db", "--storage"]
    monkeypatch.setattr("sys.argv", [*words, "postgresql://me:canary-2@host/db"])
    run(make_spec(trials=1))
    written = (tmp_path / "runs" / "bowl" / "environment.json").read_text()
    assert "canary" not in written and written.count("me:***@host") == 2


@pytest.mark.parametrize("allowed", [False, True])
def test_code_of_the_user_is_found_only_where_it_is_allowed(
    make_spec: MakeSpec,
    offer: Offer,
    run: RunStudy,
    allowed: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    seen: list[list[str] | None] = []

    def looking(run: Run, *, x: float, y: float) -> float:
        seen.append(run.trial.code_path)
        return x

    offer("objectives", "looking", looking)
    run(make_spec(trials=1, **{"name: bowl,": "name: looking,"}), allow_code=allowed)
    assert seen == [[str(tmp_path), str(tmp_path / "elsewhere")] if allowed else None]


def test_events_are_dated_now(make_spec: MakeSpec, run: RunStudy) -> None:
    before = time.time()
    assert all(before <= event.time <= time.time() for event in run(make_spec(trials=1)))
