"""Studies that are begun anew, continued with another file, or refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from stored import MakeSpec, Offer, RunStudy, everything, kinds, rows

from hpo_core import preparation, runner
from hpo_core.catalog import Catalog
from hpo_core.errors import PluginError, StudyHeldError, UsageError
from hpo_core.holding import hold
from hpo_core.runner import Wishes
from hpo_core.sampling import SamplerContext, SpaceExhausted
from hpo_core.spec import StudySpec
from hpo_core.storage import database, studies


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


# ---- with another file ----

GRAVE = {
    "seed": ("seed: 3", "seed: 4", "seed: 3 became 4"),
    "goal": ("goal: minimize", "goal: maximize", 'metric.goal: "minimize" became "maximize"'),
    "sampler": ("name: random", "name: tpe", 'sampler.name: "random" became "tpe"'),
    "an option of the trial scheduler": (
        "bound: 1000000000.0",
        "bound: 5.0",
        "trial_scheduler.bound: 1000000000.0 became 5.0",
    ),
    "a range becomes a value": (
        "y: {float: [-3, 3]}",
        "y: 1.0",
        'objective.y: {"float": [-3, 3]} became 1.0',
    ),
    "a value becomes a range": (
        "y: 0.5",
        "y: {float: [-3, 3]}",
        'objective.y: 0.5 became {"float": [-3, 3]}',
    ),
    "a value": ("y: 0.5", "y: 0.25", "objective.y: 0.5 became 0.25"),
    "epochs": ("epochs: 3", "epochs: 9", "objective.epochs: 3 became 9"),
    "a scale": (
        "x: {float: [0.5, 8]}",
        "x: {float: [0.5, 8], log: true}",
        'objective.x: {"float": [0.5, 8]} became {"float": [0.5, 8], "log": true}',
    ),
    "a step": (
        "x: {float: [0.5, 8]}",
        "x: {float: [0.5, 8], step: 0.5}",
        'objective.x: {"float": [0.5, 8]} became {"float": [0.5, 8], "step": 0.5}',
    ),
    "a type": (
        "x: {float: [0.5, 8]}",
        "x: {int: [1, 8]}",
        'objective.x: {"float": [0.5, 8]} became {"int": [1, 8]}',
    ),
    "an alternative that is gone": (
        "y: {choice: [0.0, 1.0]}",
        "y: {choice: [0.0]}",
        "objective.y: [0.0, 1.0] became [0.0]",
    ),
}

HARMLESS = {
    "narrower": (
        "x: {float: [-10, 10]}",
        "x: {float: [-9, 2]}",
        'objective.x: {"float": [-10, 10]} became {"float": [-9, 2]}',
    ),
    "wider": (
        "x: {float: [0.5, 8]}",
        "x: {float: [0.25, 10]}",
        'objective.x: {"float": [0.5, 8]} became {"float": [0.25, 10]}',
    ),
    "an alternative more": (
        "y: {choice: [0.0, 1.0]}",
        "y: {choice: [2.0, 0.0, 1.0]}",
        "objective.y: [0.0, 1.0] became [2.0, 0.0, 1.0]",
    ),
}


def changed(make_spec: MakeSpec, old: str, new: str) -> tuple[StudySpec, StudySpec]:
    """The study of `old`, which replaces the range of its parameter, and the one of `new`."""
    place = {
        "x": "x: {float: [-10, 10]}",
        "y": "y: {float: [-3, 3]}",
        "e": "objective: {name: bowl,",
    }.get(old[0], old)
    first, second = (f"{place} {each}," if old[0] == "e" else each for each in (old, new))
    return make_spec(trials=1, **{place: first}), make_spec(trials=4, **{place: second})


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("case", GRAVE)
def test_changed_settings_are_refused_with_the_difference(
    make_spec: MakeSpec, run: RunStudy, catalog: Catalog, case: str, accept: bool
) -> None:
    old, new, difference = GRAVE[case]
    first, second = changed(make_spec, old, new)
    run(first)
    before = everything(first)
    with pytest.raises(UsageError) as caught:
        runner.run(second, catalog, [], Wishes(accept_changes=accept))
    said = str(caught.value)
    assert f"  {difference}" in said.splitlines()
    assert "--fresh" in said and "'bowl'" in said and "--accept-changes" not in said
    assert everything(first) == before


@pytest.mark.parametrize("case", HARMLESS)
def test_a_harmless_change_is_shown_and_waits_to_be_accepted(
    make_spec: MakeSpec, run: RunStudy, catalog: Catalog, case: str
) -> None:
    old, new, difference = HARMLESS[case]
    first, second = changed(make_spec, old, new)
    run(first)
    before = everything(first)
    with pytest.raises(UsageError) as caught:
        runner.run(second, catalog, [])
    assert f"  {difference}" in str(caught.value).splitlines()
    assert "--accept-changes" in str(caught.value)
    assert everything(first) == before
    told = run(second, accept_changes=True)
    (change,) = [event for event in told if event.kind == "study_changed"]
    assert change.data == {"change": difference}
    assert len(rows(second)) == 4
    assert "study_changed" not in kinds(run(second))  # accepted once and for all


def test_the_new_range_holds_for_new_trials(make_spec: MakeSpec, run: RunStudy) -> None:
    spec = make_spec(trials=5, sampler="tpe")
    run(spec)
    earlier = rows(spec)
    assert any(row.params["x"] < 3 for row in earlier)
    narrow = make_spec(trials=15, sampler="tpe", **{"x: {float: [-10, 10]}": "x: {float: [3, 4]}"})
    run(narrow, accept_changes=True)
    assert rows(narrow)[:5] == earlier
    assert all(3 <= row.params["x"] <= 4 for row in rows(narrow)[5:])
    run(make_spec(trials=30, sampler="tpe"), accept_changes=True)  # and back again
    assert any(not 3 <= row.params["x"] <= 4 for row in rows(narrow)[15:])


def test_a_study_continues_after_one_change_among_several_is_grave(
    make_spec: MakeSpec, run: RunStudy, catalog: Catalog
) -> None:
    run(make_spec(trials=1))
    several = make_spec(trials=2, **{"[-10, 10]": "[-9, 10]", "seed: 3": "seed: 4"})
    with pytest.raises(UsageError, match="seed: 3 became 4") as caught:
        runner.run(several, catalog, [], Wishes(accept_changes=True))
    assert "objective.x" not in str(caught.value)  # what stands in the way, and nothing else
    assert len(run(make_spec(trials=2))) > 0


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


# ---- with a folder that is not empty ----


def test_trials_of_a_study_in_another_database_are_left_alone(
    make_spec: MakeSpec, run: RunStudy, tmp_path: Path, empty_database: Path
) -> None:
    spec = make_spec(trials=1)
    run(spec)
    log = tmp_path / "runs" / "bowl" / "trials" / "0000" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("first")
    shutil.copy(empty_database, tmp_path / "other.db")
    other = replace(spec, storage=f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(
        UsageError, match=r"holds trials of a study 'bowl' that is not in .*--fresh"
    ):
        run(other)
    assert log.read_text() == "first"
    run(spec)  # in its own database it may
    run(other, fresh=True)
    assert (tmp_path / "runs" / "bowl.1" / "trials" / "0000" / "log.txt").read_text() == "first"


def test_a_kill_while_a_study_is_set_aside(
    make_spec: MakeSpec, run: RunStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(trials=1)
    run(spec)
    log = tmp_path / "runs" / "bowl" / "trials" / "0000" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("first")
    with monkeypatch.context() as patched:
        patched.setattr(preparation, "_move", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(spec, fresh=True)
    run(spec)
    aside = tmp_path / "runs" / "bowl.1"
    assert (aside / "trials" / "0000" / "log.txt").read_text() == "first"
    assert (aside / "study.yaml").is_file() and not (tmp_path / "runs" / "bowl.2").exists()
    assert len(rows(spec)) == len(rows(replace(spec, study="bowl.1"))) == 1


def test_an_exhausted_space_that_is_widened_goes_on(
    make_spec: MakeSpec, run: RunStudy, offer: Offer
) -> None:
    def limited(context: SamplerContext) -> optuna.samplers.BaseSampler:
        low = context.space.tree["x"]["float"][0]
        if context.number >= (2 if low == -10 else 4):
            raise SpaceExhausted("every point was proposed")
        return optuna.samplers.RandomSampler(seed=context.seed)

    offer("samplers", "limited", limited)
    spec = make_spec(trials=9, sampler="limited")
    run(spec)
    assert len(rows(spec)) == 2
    wider = make_spec(trials=9, sampler="limited", **{"[-10, 10]": "[-9, 10]"})
    told = run(wider, accept_changes=True)
    assert len(rows(spec)) == 4 and "study_changed" in kinds(told)
    before = everything(spec)
    run(wider)
    assert everything(spec) == before
