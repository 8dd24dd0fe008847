"""`hpo status`, `trials`, `show`, `best` and `models list`: the JSON that scripts rely on, and what people see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
import registered
from driving import open_study
from postgres import Postgres

from hpo_core import Ending, Outcome, Report, Run, runner
from hpo_core.catalog import Catalog, Entry
from hpo_core.cli import main
from hpo_core.spec import StudySpec
from hpo_core.storage import database, reading, studies
from hpo_core.storage.ledger import Ledger
from hpo_core.study import DrivenStudy

MakeSpec = Callable[..., StudySpec]


@dataclass(frozen=True)
class Said:
    """What a command said and ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Hpo = Callable[..., Said]


@pytest.fixture
def hpo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Hpo:
    """Run a command in this process, on the database of `make_spec`."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str, storage: str = "sqlite:///hpo.db") -> Said:
        monkeypatch.setattr("sys.argv", ["hpo", *words, "--storage", storage])
        with pytest.raises(SystemExit) as caught:
            main.main()
        captured = capsys.readouterr()
        code = caught.value.code
        return Said(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


def mixed(run: Run, *, x: float, y: float) -> None:
    """An objective whose trials complete, are stopped, fail and diverge."""
    number = run.trial.number
    for epoch in (1, 2, 3):
        if number == 1 and epoch == 2:
            raise ValueError("no\nluck")
        loss = [3.0, 2.0, 99.0, float("nan")][number] / epoch
        with run.checkpoint(epoch) as folder:
            (folder / "model.safetensors").write_text(f"{number}")
        if run.report(epoch, {"loss": loss, "seconds": 7.5, "steps": 8.5, "attempt": 9.5}).stop:
            return


@pytest.fixture
def studied(make_spec: MakeSpec, catalog: Catalog) -> StudySpec:
    """A finished study of four trials: complete, failed, pruned, diverged; and one that has not begun."""
    catalog.add(Entry("objectives", "mixed", mixed, "tests", "tests"))
    registered = {"seed: 3": "seed: 3\nregister: {best_as: digits-model}"}
    spec = make_spec(trials=4, bound=40.0, **{"name: bowl,": "name: mixed,"}, **registered)
    assert runner.run(spec, catalog, []) is None
    return spec


def interrupted(make_spec: MakeSpec, catalog: Catalog) -> None:
    """A study called `bowl2` with a paused and a running trial."""
    spec = make_spec(trials=5, **{"study: bowl": "study: bowl2"})
    engine = database.open_or_create(spec.storage)
    record = studies.create(engine, "bowl2", spec.goal, spec.identity(), 5, "runs/bowl2")
    ledger = Ledger(engine, record.study_id, "bowl2", spec.goal, spec.metric)
    study = DrivenStudy(spec, spec.budget, ledger, catalog)
    first, second = study.ask(), study.ask()
    assert first is not None and second is not None
    study.report(first, Report(1, {"loss": 1.5}))
    study.report(first, Report(2, {"loss": 2.5}))
    study.finish(first, Outcome(Ending.INTERRUPTED))
    study.commit()


# ---- JSON ----


def test_status_is_a_list_of_studies(
    hpo: Hpo, studied: StudySpec, make_spec: MakeSpec, catalog: Catalog
) -> None:
    done = {
        "study": "bowl",
        "trials": {"complete": 1, "pruned": 1, "failed": 2, "running": 0, "paused": 0},
        "target": 4,
        "best_value": 1.0,
    }
    assert hpo("status", "--json").json == [done]
    interrupted(make_spec, catalog)
    both = hpo("status", "--json").json
    assert both[0] == done
    assert both[1]["trials"] == dict(complete=0, pruned=0, failed=0, running=1, paused=1)
    assert both[1]["best_value"] is None and both[1]["target"] == 5
    assert hpo("status", "bowl", "--json").json == [done]


def test_trials_are_a_list_of_eight_facts_each(hpo: Hpo, studied: StudySpec) -> None:
    trials = hpo("trials", "bowl", "--json").json
    keys = ["number", "state", "value", "params", "epochs", "attempt", "reason"]
    assert [list(trial) for trial in trials] == [keys] * 4
    assert [trial["number"] for trial in trials] == [0, 1, 2, 3]
    assert [trial["state"] for trial in trials] == ["complete", "fail", "pruned", "fail"]
    assert [trial["value"] for trial in trials] == [1.0, None, 99.0, None]
    assert [trial["epochs"] for trial in trials] == [3, 1, 1, 1]  # not the metric called `steps`
    assert [trial["attempt"] for trial in trials] == [1, 1, 1, 1]  # nor the one called `attempt`
    assert [trial["reason"] for trial in trials] == [
        "",
        "ValueError: no luck",
        "99.000 is above 40.0",
        "loss is nan at step 1",
    ]
    assert set(trials[0]["params"]) == {"x", "y"}


def test_a_trial_that_is_not_finished_tells_its_epochs(
    hpo: Hpo, make_spec: MakeSpec, catalog: Catalog
) -> None:
    interrupted(make_spec, catalog)
    paused, running = hpo("trials", "bowl2", "--json").json
    assert (paused["state"], paused["epochs"], paused["value"]) == ("paused", 2, None)
    assert (running["state"], running["epochs"]) == ("running", 0)
    assert "paused" in hpo("trials", "bowl2").out


def test_a_trial_run_again_keeps_its_old_steps(make_spec: MakeSpec, catalog: Catalog) -> None:
    spec = make_spec(trials=1)
    engine = database.open_or_create(spec.storage)
    record = studies.create(engine, "bowl", spec.goal, spec.identity(), 1, "runs/bowl")
    ledger = Ledger(engine, record.study_id, "bowl", spec.goal, spec.metric)
    study = DrivenStudy(spec, spec.budget, ledger, catalog)
    trial = study.ask()
    assert trial is not None
    for step in (1, 2, 3):
        study.report(trial, Report(step, {"loss": 9.0}))
    study.finish(trial, Outcome(Ending.INTERRUPTED))  # by a node that went away, say
    again = study.ask()
    assert again is not None and again.attempt == 2
    study.report(again, Report(1, {"loss": 1.0}))
    study.commit()
    (row,) = reading.trials(engine, record)
    assert (row.epochs, row.attempt) == (3, 2)
    study.finish(again, Outcome(Ending.STOPPED, "rung"))
    (stored,) = optuna.load_study(study_name="bowl", storage=spec.storage).trials
    assert stored.intermediate_values == {1: 1.0, 2: 9.0, 3: 9.0} and stored.value == 1.0


def test_show_tells_every_epoch(hpo: Hpo, studied: StudySpec) -> None:
    about = hpo("show", "bowl", "0", "--json").json
    assert about["number"] == 0 and about["state"] == "complete"
    assert about["directory"].endswith("runs/bowl/trials/0000/attempt-1")
    assert [report["step"] for report in about["reports"]] == [1, 2, 3]
    assert [report["value"] for report in about["reports"]] == [3.0, 1.5, 1.0]
    assert about["reports"][0]["metrics"] == {
        "loss": 3.0,
        "seconds": 7.5,
        "steps": 8.5,
        "attempt": 9.5,
    }
    assert about["attributes"]["best_step"] == 3
    assert about["attributes"]["checkpoint"].endswith("0000/attempt-1/checkpoints/step-000003")
    diverged = hpo("show", "bowl", "3", "--json").json
    assert diverged["reports"][0]["metrics"]["loss"] is None  # JSON has no NaN
    assert diverged["reports"][0]["decision"] == "stop"


def test_show_tells_what_it_takes_to_train_a_trial_again(hpo: Hpo, studied: StudySpec) -> None:
    origin = hpo("show", "bowl", "0", "--provenance").json
    assert origin["study_file"]["study"] == "bowl" and origin["objective"] == "mixed"
    assert origin["seeds"]["study"] == studied.seed and origin["steps"] == 3
    assert origin["environment"]["versions"]["hpo-core"]
    assert [attempt["ending"] for attempt in origin["attempts"]] == ["finished"]
    refused = hpo("show", "bowl", "99", "--provenance")
    assert refused.code == 2 and "no trial 99" in refused.err


def test_show_tells_what_was_measured_of_each_attempt(
    hpo: Hpo, make_spec: MakeSpec, catalog: Catalog
) -> None:
    interrupted(make_spec, catalog)
    study = open_study(make_spec(trials=5, **{"study: bowl": "study: bowl2"}), catalog)
    trial = study.ask()
    assert trial is not None and (trial.number, trial.attempt) == (0, 2)
    measured = {"peak_memory": 2**20, "peak_gpu_memory": 3 * 2**30, "gpu_utilization": 37.5}
    study.finish(trial, Outcome(Ending.LOST, "full", out_of_memory=True, **measured))
    attempts = hpo("show", "bowl2", "0", "--json").json["attempts"]
    assert [(each["attempt"], each["ending"]) for each in attempts] == [
        (1, "interrupted"),
        (2, "lost"),
    ]
    assert attempts[1].items() >= {**measured, "out_of_memory": True, "reason": "full"}.items()
    assert "peak_memory" not in attempts[0]
    taken = "1.0 MiB of memory at most, 3.0 GiB of GPU memory at most, the GPU busy 38 % of"
    shown = hpo("show", "bowl2", "0").out
    assert f"LOST: full ({taken}" in " ".join(shown.split())
    study.ask()
    again = study.ask()
    assert again is not None and again.number == 0
    study.report(again, Report(3, {"loss": 1.0}))
    study.finish(again, Outcome(Ending.COMPLETED, gpu_utilization=0.0))
    shown = hpo("show", "bowl2", "0").out
    assert "[peak_gpu_memory] 3.0 GiB" in shown and "[gpu_utilization] 0.0 %" in shown


def test_best_names_its_model_version(hpo: Hpo, studied: StudySpec) -> None:
    best = hpo("best", "bowl", "--json").json
    assert list(best) == ["study", "number", "value", "params", "model_version", "model_versions"]
    assert (best["study"], best["number"], best["value"]) == ("bowl", 0, 1.0)
    assert best["model_version"] == "digits-model@1"
    assert best["params"] == hpo("trials", "bowl", "--json").json[0]["params"]


def test_best_names_every_version_of_its_trial(
    hpo: Hpo, studied: StudySpec, tmp_path: Path
) -> None:
    engine = database.open_existing(studied.storage)
    number = studies.called(engine, "bowl").study_id
    again = registered.register(engine, tmp_path / "again", "again", trial=0, study_id=number)
    engine.dispose()
    best = hpo("best", "bowl", "--json").json
    assert best["model_version"] == "digits-model@1"  # that of its own `register`, as before
    assert best["model_versions"] == ["digits-model@1", "again@1"]
    told = hpo("best", "bowl").out.splitlines()[-2:]
    assert told[0].startswith("model digits-model@1: ")
    assert told[1] == f"model again@1: {again.path}"


def test_models_are_listed_with_their_lineage(hpo: Hpo, studied: StudySpec) -> None:
    (model,) = hpo("models", "list", "--json").json
    assert (model["name"], model["version"], model["study"], model["trial"]) == (
        "digits-model",
        1,
        "bowl",
        0,
    )
    assert (model["metric"], model["value"]) == ("loss", 1.0)
    assert len(model["sha256"]) == 64 and Path(model["path"]).read_text() == "0"


def test_postgresql_answers_as_sqlite_does(
    hpo: Hpo, studied: StudySpec, make_spec: MakeSpec, catalog: Catalog, postgres: Postgres
) -> None:
    elsewhere = {studied.storage: postgres.fresh(), studied.directory: f"{studied.directory}-2"}
    changes = {
        "name: bowl,": "name: mixed,",
        "seed: 3": "seed: 3\nregister: {best_as: digits-model}",
    }
    spec = make_spec(trials=4, bound=40.0, **changes, **elsewhere)
    assert runner.run(spec, catalog, []) is None
    for words in (["status"], ["trials", "bowl"], ["best", "bowl"]):
        assert hpo(*words, "--json", storage=spec.storage).json == hpo(*words, "--json").json
    shown = [
        hpo("show", "bowl", "2", "--json", storage=s).json for s in (studied.storage, spec.storage)
    ]
    assert [[report["value"] for report in each["reports"]] for each in shown] == [[99.0]] * 2
    (model,) = hpo("models", "list", "--json", storage=spec.storage).json
    assert (model["version"], model["value"]) == (1, 1.0)


# ---- for people ----


def test_tables_say_the_same(hpo: Hpo, studied: StudySpec) -> None:
    head, row = hpo("status").out.splitlines()
    assert head.split() == "study done complete pruned failed running paused best".split()
    assert row.split() == ["bowl", "4/4", "1", "1", "2", "0", "0", "loss", "1.0000"]
    lines = hpo("trials", "bowl").out.splitlines()
    assert len(lines) == 5 and "ValueError: no luck" in lines[2] and "99.000 is above" in lines[3]
    shown = hpo("show", "bowl", "2").out
    assert "trial 2 of study bowl: pruned (99.000 is above 40.0)" in shown
    assert "  x = " in shown and "  [best_step] 1" in shown and "attempt  epoch" in shown
    told = hpo("best", "bowl").out
    assert told.startswith("loss 1.0000 by trial 0 of study bowl\n")
    assert "model digits-model@1: " in told
    assert "digits-model  1 " in hpo("models", "list").out


# ---- what cannot be answered ----


@pytest.mark.parametrize("command", [["trials"], ["best"], ["show", "0"], ["status"]])
def test_a_study_that_is_not_there(hpo: Hpo, studied: StudySpec, command: list[str]) -> None:
    name, *rest = command
    said = hpo(name, "bwol", *rest)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: there is no study 'bwol' in sqlite:///hpo.db")
    assert said.err.endswith("did you mean 'bowl'?\n")
    assert hpo(name, "zzzzz", *rest).err.endswith("(there is: bowl)\n")


def test_a_trial_that_is_not_there(hpo: Hpo, studied: StudySpec) -> None:
    said = hpo("show", "bowl", "99")
    assert said.code == 2 and "has no trial 99" in said.err


def test_no_best_without_success(hpo: Hpo, make_spec: MakeSpec, catalog: Catalog) -> None:
    interrupted(make_spec, catalog)
    said = hpo("best", "bowl2")
    assert (said.code, said.out) == (6, "")
    assert said.err == "error: study 'bowl2' has no successful trial yet\n"


@pytest.mark.parametrize(
    "command", [["status"], ["trials", "x"], ["best", "x"], ["models", "list"]]
)
def test_a_database_that_is_not_there(hpo: Hpo, command: list[str], tmp_path: Path) -> None:
    said = hpo(*command, storage="sqlite:///none.db")
    assert (said.code, said.out) == (5, "")
    assert said.err.startswith("error: there is no database at none.db")
    assert not (tmp_path / "none.db").exists()


def test_an_empty_database_has_an_empty_answer(hpo: Hpo, make_spec: MakeSpec) -> None:
    assert hpo("status", "--json").json == []
    assert hpo("models", "list", "--json").json == []
    assert hpo("trials", "x").err.endswith("(there is: none)\n")


def test_a_study_and_a_trial_of_optunas_own_are_read(
    hpo: Hpo, make_spec: MakeSpec, catalog: Catalog
) -> None:
    spec = make_spec(trials=2)
    assert runner.run(spec, catalog, []) is None
    optuna.create_study(storage=spec.storage, study_name="theirs")
    optuna.load_study(study_name="bowl", storage=spec.storage).enqueue_trial({"x": 1.0})
    assert [study["study"] for study in hpo("status", "--json").json] == ["bowl"]
    waiting = hpo("trials", "bowl", "--json").json[2]
    assert (waiting["state"], waiting["params"], waiting["attempt"]) == ("paused", {}, 0)
    assert "has not been run by hpo" in hpo("show", "bowl", "2", "--provenance").err


def test_a_command_that_does_not_make_sense(hpo: Hpo) -> None:
    for words in (["trials"], ["show", "bowl", "-1"], ["statsu"]):
        assert hpo(*words).code == 2
