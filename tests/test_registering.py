"""The best checkpoint becomes a model version, once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import MakeSpec, Offer, RunStudy, everything, kinds, models, rows

from hpo_core import Event, Run, checkpoints, runner
from hpo_core.catalog import Catalog
from hpo_core.errors import StoreError
from hpo_core.registry import versions
from hpo_core.registry.registry import Registry
from hpo_core.spec import StudySpec
from hpo_core.storage import database, tables


def keeping(run: Run, *, x: float, y: float) -> None:
    """An objective that keeps a checkpoint of every epoch."""
    for epoch in (1, 2):
        with run.checkpoint(epoch) as folder:
            (folder / checkpoints.MODEL).write_text(f"{run.trial.number}/{epoch}")
        run.report(epoch, {"loss": x * x * epoch, "other": 0.5})


@pytest.fixture
def keeping_spec(make_spec: MakeSpec, offer: Offer) -> StudySpec:
    """A study of three trials whose best checkpoint is registered."""
    offer("objectives", "keeping", keeping)
    return make_spec(
        trials=3,
        **{"name: bowl,": "name: keeping,", "seed: 3": "seed: 3\nregister: {best_as: bowl-model}"},
    )


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


def test_a_version_that_was_deleted_is_neither_made_again_nor_told_of(
    keeping_spec: StudySpec, run: RunStudy
) -> None:
    run(keeping_spec)
    registry = Registry.open(keeping_spec.storage)
    registry.delete("bowl-model@1")
    assert kinds(run(keeping_spec)) == ["study_started", "study_finished"]
    assert models(keeping_spec) == []
    assert (
        registry.register(keeping_spec.study, name="bowl-model").version.version == 2
    )  # who asks gets one
    registry.engine.dispose()


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


@pytest.mark.parametrize("harm", ["gone", "flipped", "empty"])
def test_a_damaged_checkpoint_is_an_error_that_can_be_mended(
    keeping_spec: StudySpec, catalog: Catalog, run: RunStudy, harm: str
) -> None:
    whole: dict[Path, str] = {}

    def damage(event: Event) -> None:
        if event.kind != "study_finished":
            return
        for path in Path(keeping_spec.directory, keeping_spec.study).rglob(checkpoints.MODEL):
            whole[path] = path.read_text()
            if harm == "gone":
                path.unlink()
            else:
                path.write_text("9/9" if harm == "flipped" else "")

    why = {"gone": "No such file", "flipped": "was changed", "empty": "has 0 bytes instead of 3"}
    with pytest.raises(
        StoreError, match=f"cannot be registered: it is damaged.*{why[harm]}"
    ) as caught:
        runner.run(keeping_spec, catalog, [damage])
    assert "or take 'register' out of the study file" in str(caught.value)
    assert whole and models(keeping_spec) == []
    for path, text in whole.items():
        path.write_text(text)
    assert run(keeping_spec)[-1].kind == "model_registered"
    assert len(models(keeping_spec)) == 1


def test_a_checkpoint_without_a_model_is_no_version(
    make_spec: MakeSpec, offer: Offer, run: RunStudy
) -> None:
    def modelless(run: Run, *, x: float, y: float) -> None:
        with run.checkpoint(1) as folder:
            (folder / "state.json").write_text("{}")
        run.report(1, {"loss": x})

    offer("objectives", "modelless", modelless)
    told = run(
        make_spec(
            trials=1,
            **{"name: bowl,": "name: modelless,", "seed: 3": "seed: 3\nregister: {best_as: m}"},
        )
    )
    assert told[-1].data["reason"] == (
        "trial 0 kept no model.safetensors in its checkpoint: nothing to register as 'm'"
    )


def test_an_objective_that_saves_now_and_then(
    saving_spec: Callable[..., StudySpec], run: RunStudy, offer: Offer
) -> None:
    def sometimes(run: Run, *, x: float, y: float) -> None:
        for epoch in (1, 2, 3):
            if epoch == 2:
                with run.checkpoint(epoch) as folder:
                    (folder / checkpoints.MODEL).write_text(f"{run.trial.number}")
            run.report(epoch, {"loss": x + epoch})

    offer("objectives", "sometimes", sometimes)
    spec = saving_spec(
        "none",
        "{trials: 3}",
        **{"name: saving,": "name: sometimes,", "seed: 3": "seed: 3\nregister: {best_as: m}"},
    )
    told = run(spec)
    assert told[-1].kind == "model_registered"
    (version,) = models(spec)
    best = rows(spec)[version.trial]
    assert version.value == best.params["x"] + 2  # what the saved weights reached, not the trial
    assert best.value == best.params["x"] + 1
