"""The runner: every way a run begins, ends and is begun again, on small studies in this process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from stored import MakeSpec, Offer, RunStudy, everything, kinds, rows, states, stored

from hpo_core import Driven, Event, Interrupt, Run, runner
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError, LeaseLostError, NoSuccessError, UsageError
from hpo_core.sampling import SamplerContext, SpaceExhausted
from hpo_core.spec import check
from hpo_core.storage import database, leases, studies, tables
from hpo_core.yaml_source import parse

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
    assert code is number and said == [number.name]
    assert signal.getsignal(number) is handler
    assert told[-1].kind == "study_stopped"
    said_last = told[-1].data
    assert (said_last["finished"], said_last["target"]) == (2, 5)
    assert (said_last["epochs"], said_last["reason"]) == (5, number.name)
    assert said_last["budget"] == {"trials": 5, "epochs": None, "hours": None, "max_attempts": 3}
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
    assert runner.run(stubborn, catalog, []) is signal.SIGINT
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


def test_a_trial_that_was_enqueued_outside_the_space_is_refused(
    make_spec: MakeSpec, catalog: Catalog, run: RunStudy
) -> None:
    changes = {"y: {float: [-3, 3]}": "y: {choice: [0.0, 1.0]}"}
    run(make_spec(trials=1, **changes))
    spec = make_spec(trials=3, **changes)
    optuna.load_study(study_name=spec.study, storage=spec.storage).enqueue_trial({"y": 7.0})
    with pytest.raises(HpoError, match="could not propose trial 1"):
        runner.run(spec, catalog, [])
    assert states(spec) == ["complete", "fail"]
    run(spec)  # and the study goes on without it
    assert states(spec) == ["complete", "fail", "complete"]


def test_a_trial_that_was_enqueued_is_run_first(make_spec: MakeSpec, run: RunStudy) -> None:
    run(make_spec(trials=1))
    spec = make_spec(trials=3)
    wanted = {"x": 1.5, "y": -0.5}
    optuna.load_study(study_name=spec.study, storage=spec.storage).enqueue_trial(wanted)
    told = run(spec)
    assert rows(spec)[1].params == wanted and states(spec) == ["complete"] * 3
    origins = [event.data["origin"] for event in told if event.kind == "trial_started"]
    assert origins == ["enqueued", "new"]


def test_ctrl_c_that_nobody_sent_passes(
    make_spec: MakeSpec, catalog: Catalog, offer: Offer
) -> None:
    class Raising:
        def run(self, study: Driven, interrupt: Interrupt) -> None:
            raise KeyboardInterrupt

    offer("executors", "raising", Raising)
    with pytest.raises(KeyboardInterrupt):
        runner.run(replace(make_spec(), executor={"name": "raising"}), catalog, [])


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


# ---- files and code ----


def test_the_study_is_written_down_as_it_was_understood(
    make_spec: MakeSpec, run: RunStudy, catalog: Catalog, tmp_path: Path
) -> None:
    spec = make_spec(trials=1, **{"seed: 3": "seed: 3\nregister: {best_as: other}"})
    run(spec)
    text = (tmp_path / "runs" / "bowl" / "study.yaml").read_text()
    assert check(parse(text, "study.yaml"), catalog, spec.path) == spec
    environment = json.loads((tmp_path / "runs" / "bowl" / "environment.json").read_text())
    assert set(environment) == {
        *("git_commit", "git_branch", "git_diff_sha256", "versions", "platform", "hardware"),
        "command",
    }
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


def test_a_study_that_runs_code_is_refused_before_its_first_trial(
    make_spec: MakeSpec, offer: Offer, run: RunStudy
) -> None:
    """Or every trial would fail, and the same command with --allow-code would find the budget used up."""

    def coded(run: Run, *, x: float, y: float) -> float:
        return x

    coded.runs_code = True  # type: ignore[attr-defined]  # what is looked for
    offer("objectives", "coded", coded)
    spec = make_spec(trials=2, **{"name: bowl,": "name: coded,"})
    with pytest.raises(UsageError, match="say --allow-code if it may"):
        run(spec)
    assert studies.all_studies(database.open_or_create(spec.storage)) == []
    events = run(spec, allow_code=True)
    assert events[-1].data["complete"] == 2
    assert run(spec)[-1].kind == "study_finished"  # nothing is left to run


def test_events_are_dated_now(make_spec: MakeSpec, run: RunStudy) -> None:
    before = time.time()
    assert all(before <= event.time <= time.time() for event in run(make_spec(trials=1)))


def test_a_driver_that_was_followed_ends_its_workers_and_writes_nothing(
    make_spec: MakeSpec, catalog: Catalog, offer: Offer
) -> None:
    class Waiting:
        """Runs a trial that says nothing until it is told to hurry."""

        def run(self, study: Driven, interrupt: Interrupt) -> None:
            assert study.ask() is not None
            study.commit()
            engine = database.open_existing(spec.storage)
            with engine.begin() as connection:
                table = tables.hpo_leases
                connection.execute(table.update().values(owner="another", token=table.c.token + 1))
            before.extend(everything(spec))
            deadline = time.monotonic() + 20
            while not interrupt.now:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    before: list[object] = []
    offer("executors", "waiting", Waiting)
    spec = replace(make_spec(), executor={"name": "waiting"})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(leases, "TTL", 0.3)
        patched.setattr(leases.take, "__defaults__", (0.3,))
        with pytest.raises(LeaseLostError):
            runner.run(spec, catalog, [])
    assert everything(spec) == before
