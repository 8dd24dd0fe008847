"""`hpo replay` finds no difference in what was really run, whatever happened meanwhile, and finds what was changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import sqlalchemy
from forking import Forks
from forking import forks as forks
from optuna.distributions import FloatDistribution
from stored import MakeSpec, RunStudy, stored

from hpo_core import HpoError, study
from hpo_core.catalog import Catalog
from hpo_core.replay import Difference, Replayed, replay
from hpo_core.spec import StudySpec
from hpo_core.storage import database, studies, tables

SavingSpec = Callable[..., StudySpec]

SCHEDULERS = ["none", "{name: promoting, best: 1}", "{name: promoting, fidelity: 1}", "exploiting"]


def derived(spec: StudySpec, catalog: Catalog) -> Replayed:
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    return replay(engine, record, catalog)


def started(spec: StudySpec) -> list[str]:
    return [event.data["origin"] for event in stored(spec) if event.kind == "trial_started"]


def assert_the_same(spec: StudySpec, catalog: Catalog) -> None:
    """No difference, and everything was compared."""
    found, origins = derived(spec, catalog), started(spec)
    assert found.differences == []
    assert found.proposals == origins.count("new") + origins.count("cloned")
    assert found.decisions == sum(event.kind == "report" for event in stored(spec))


# ---- nothing is found where nothing is ----


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("budget", ["{trials: 6}", "{trials: 6, epochs: 11}"])
def test_a_study_that_was_run_at_once(
    saving_spec: SavingSpec, run: RunStudy, catalog: Catalog, scheduler: str, budget: str
) -> None:
    spec = saving_spec(scheduler, budget, "tpe")
    run(spec)
    assert_the_same(spec, catalog)


def test_more_trials_and_other_ranges(make_spec: MakeSpec, run: RunStudy, catalog: Catalog) -> None:
    """Optuna keeps to the alternatives that a choice had at first; a new driver does not know them, nor the replay."""
    distribution = "{float: [-3, 3]}"
    spec = make_spec(sampler="tpe", **{distribution: "{choice: [0.0, 1.0]}"})
    run(spec)
    run(spec, more=2)
    wider = {distribution: "{choice: [0.0, 1.0, 2.0]}", "[-10, 10]": "[-10, 5]"}
    changed = make_spec(sampler="tpe", **wider)
    run(changed, accept_changes=True, more=6)
    chosen = [each.data["params"]["y"] for each in stored(spec) if each.kind == "trial_started"]
    assert 2.0 in chosen
    assert_the_same(changed, catalog)


def test_hours_that_were_raised_after_they_had_ended_the_study(
    saving_spec: SavingSpec,
    run: RunStudy,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = 0.0

    def now() -> float:
        return time.time() + late * (len(asked) > 3)

    asked: list[Any] = []
    original = study.DrivenStudy.ask
    monkeypatch.setattr(study.DrivenStudy, "ask", lambda self: (asked.append(1), original(self))[1])
    monkeypatch.setattr(study, "time", SimpleNamespace(time=now, monotonic=time.monotonic))
    late = 7200.0
    spec = saving_spec("{name: promoting, best: 1}", "{trials: 6, hours: 1}")
    run(spec)
    late = 0.0
    assert started(spec) == ["new"] * 3
    assert [each.data["reason"] for each in stored(spec) if each.kind == "trial_finished"] == [
        "paused after epoch 1: the budget of 1 hours is used"
    ] * 3
    run(saving_spec("{name: promoting, best: 1}", "{trials: 6, hours: 3}"))
    assert started(spec) == [*["new"] * 6, "resumed"]
    assert_the_same(spec, catalog)


def test_trials_that_somebody_added(make_spec: MakeSpec, run: RunStudy, catalog: Catalog) -> None:
    spec = make_spec(trials=3, sampler="tpe")
    run(spec)
    theirs = optuna.load_study(study_name=spec.study, storage=spec.storage)
    theirs.enqueue_trial({"x": 0.5})  # y is the sampler's to propose
    space = {"x": FloatDistribution(-10, 10), "y": FloatDistribution(-3, 3)}
    params = {"x": 1.0, "y": 0.0}
    theirs.add_trial(optuna.create_trial(params=params, distributions=space, value=0.1))
    theirs.enqueue_trial({"x": 2.0, "y": 1.0})
    run(spec, more=7)
    assert started(spec) == [*["new"] * 3, *["enqueued"] * 2, *["new"] * 4]
    assert_the_same(spec, catalog)


def test_a_trial_that_was_added_and_refused(
    make_spec: MakeSpec, run: RunStudy, catalog: Catalog
) -> None:
    spec = make_spec(trials=3, sampler="tpe")
    run(spec)
    theirs = optuna.load_study(study_name=spec.study, storage=spec.storage)
    theirs.enqueue_trial({"x": "wide"})
    with pytest.raises(HpoError, match="could not propose trial 3"):
        run(spec, more=3)
    run(spec)
    assert started(spec) == ["new"] * 5
    assert_the_same(spec, catalog)


# ---- what was changed is found, and nothing else ----


@pytest.mark.parametrize(
    "change",
    [{"reason": "out of the blue"}, {"decision": "stop", "reason": "rung 1"}],
    ids=["reason", "verdict"],
)
def test_a_decision_that_was_tampered_with(
    saving_spec: SavingSpec, run: RunStudy, catalog: Catalog, change: dict[str, str]
) -> None:
    spec = saving_spec("{name: promoting, best: 1}", sampler="tpe")
    run(spec)
    event = next(each for each in stored(spec) if each.kind == "report" and each.trial == 2)
    rewrite(spec, event.seq, event.data | change)
    told = f"{change.get('decision', 'pause')} ({change['reason']})"
    (found,) = derived(spec, catalog).differences
    what = "the decision after epoch 1"
    assert found == Difference(event.seq, 2, what, told, "pause (rung 1)")


def test_a_result_and_an_origin_that_were_tampered_with(
    saving_spec: SavingSpec, run: RunStudy, catalog: Catalog
) -> None:
    spec = saving_spec("{name: promoting, best: 1}", sampler="tpe")
    run(spec)
    resumed = next(each for each in stored(spec) if each.data.get("origin") == "resumed")
    last = next(
        each
        for each in stored(spec)
        if each.kind == "trial_finished" and each.trial == resumed.trial
    )
    rewrite(spec, resumed.seq, resumed.data | {"reason": "a favour"})
    rewrite(spec, last.seq, last.data | {"value": 0.0})
    first, second = derived(spec, catalog).differences
    assert (first.seq, first.what) == (resumed.seq, "where it came from")
    assert (second.seq, second.what) == (last.seq, "what came of the trial")
    assert "'value': 0.0" in second.recorded and "'value': 0.0" not in second.derived


def test_another_seed(make_spec: MakeSpec, run: RunStudy, catalog: Catalog) -> None:
    spec = make_spec(sampler="tpe")
    run(spec)
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    studies.set_identity(engine, record.study_id, record.identity | {"seed": 4})
    found = derived(spec, catalog)
    assert (found.proposals, found.decisions) == (1, 0)  # all that follows depends on it
    (first,) = found.differences
    assert (first.trial, first.what) == (0, "what runs next")
    assert first.recorded.startswith("trial 0, attempt 1: {'x': ")
    assert first.derived.startswith("trial 0, attempt 1: {'x': ")


def test_events_that_were_lost(make_spec: MakeSpec, run: RunStudy, catalog: Catalog) -> None:
    spec = make_spec()
    run(spec)
    table = tables.hpo_events
    with database.connect(database.open_existing(spec.storage)) as connection:
        connection.execute(sqlalchemy.delete(table).where(table.c.seq == 0))
    with pytest.raises(HpoError, match="first event is missing"):
        derived(spec, catalog)


def rewrite(spec: StudySpec, seq: int, data: dict[str, Any]) -> None:
    table = tables.hpo_events
    with database.connect(database.open_existing(spec.storage)) as connection:
        connection.execute(
            sqlalchemy.update(table).where(table.c.seq == seq).values(data=json.dumps(data))
        )


# ---- real processes, killed ----

OBJECTIVE = """\
import json
import math
import os
import signal


def train(run, x, y, epochs):
    number, attempt, done = run.trial.number, run.trial.attempt, 0
    if run.restored is not None:
        done = json.loads((run.restored.path / "state.json").read_text())
    for epoch in range(done + 1, epochs + 1):
        if number == 2 and attempt < 3 and MORTAL:  # the driver may die in one of the two
            os.kill(os.getpid(), signal.SIGKILL)
        if (number, epoch) == (5, 2):
            raise ValueError("on purpose")
        loss = (x - 1) ** 2 + y**2 + 1 / epoch + math.sin(number + 2 * epoch)
        with run.checkpoint(epoch) as folder:
            (folder / "state.json").write_text(json.dumps(epoch))
        if run.report(epoch, {"loss": loss if (number, epoch) != (6, 3) else math.nan}).stop:
            return
"""

STUDY = """\
study: real
metric: {name: loss, goal: minimize}
budget: {trials: 12, epochs: 60}
objective:
  name: python
  call: lab:train
  epochs: 9
  arguments: {x: {float: [-3, 3]}, y: {float: [-2, 2]}}
sampler: SAMPLER
trial_scheduler: SCHEDULER
executor: EXECUTOR
"""

REAL = [
    "{name: asha-promotion, reduction_factor: 2}",
    "{name: pbt, population: 4, interval: 2}",
]


TPE = "{name: tpe, startup_trials: 3}"


def write(folder: Path, scheduler: str, executor: str, mortal: bool, sampler: str = TPE) -> None:
    text = STUDY.replace("SCHEDULER", scheduler).replace("EXECUTOR", executor)
    text = text.replace("SAMPLER", sampler)
    (folder / "study.yaml").write_text(text)
    (folder / "lab.py").write_text(f"MORTAL = {mortal}\n{OBJECTIVE}")


@pytest.mark.parametrize(
    ("scheduler", "sampler"),
    [*((scheduler, TPE) for scheduler in REAL), (REAL[0], "{name: cma-es, population_size: 4}")],
)
def test_a_study_that_was_killed_again_and_again(
    forks: Forks, tmp_path: Path, scheduler: str, sampler: str
) -> None:
    """And given more trials by some of the commands that were killed: these know what those before them had not."""
    write(tmp_path, scheduler, "inline", mortal=False, sampler=sampler)
    command = ["run", "study.yaml", "--allow-code"]
    codes = []
    for more in ([], ["--more", "1"], ["--more", "2"]):
        ran = forks.hpo(*command, *more, folder=tmp_path, HPO_FAULT="ledger.committed:11:kill")
        codes.append(ran.code)
    assert codes == [-9] * 3
    ran = forks.hpo(*command, folder=tmp_path)
    assert ran.code == 0, ran.err
    ran = forks.hpo("replay", "real", folder=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith(": no difference\n"), ran.out


@pytest.mark.parametrize("scheduler", REAL)
def test_four_workers_one_of_them_and_the_driver_killed(
    forks: Forks, tmp_path: Path, scheduler: str
) -> None:
    write(tmp_path, scheduler, "{name: processes, workers: 4, threads: 1}", mortal=True)
    command = ["run", "study.yaml", "--allow-code", "--json"]
    killed = forks.hpo(*command, folder=tmp_path, HPO_FAULT="ledger.committed:20:kill")
    assert killed.code == -9, killed.err
    ran = forks.hpo(*command, folder=tmp_path)
    assert ran.code == 0, ran.err
    assert '"event": "trial_lost"' in killed.out + ran.out
    ran = forks.hpo("replay", "real", "--json", folder=tmp_path)
    assert ran.code == 0, ran.out
    found = json.loads(ran.out)
    assert found["differences"] == [] and found["proposals"] > 4 and found["decisions"] > 12
