"""Which checkpoints are on the disk after each commit: those that somebody may need, and no other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driving import Scripted, clone, curve, drive, frozen, on_disk, open_study
from stored import Offer, RunStudy, models, rows, stored

from hpo_core import Checkpoint, Ending, Outcome, Report, Resume, Run, Trial, checkpoints, runner
from hpo_core.catalog import Catalog
from hpo_core.spec import StudySpec
from hpo_core.study import DrivenStudy

SavingSpec = Callable[..., StudySpec]


def asked(study: DrivenStudy) -> Trial:
    """A trial that must be there."""
    trial = study.ask()
    assert trial is not None
    return trial


def save(study: DrivenStudy, trial: Trial, step: int, loss: float) -> None:
    """Report a step with a checkpoint, and commit."""
    made: list[Checkpoint] = []
    with checkpoints.saving(Path(trial.directory, "checkpoints"), step, made.append) as folder:
        (folder / "state.json").write_text("{}")
    study.report(trial, Report(step, {"loss": loss}, checkpoint=made[0]))
    study.commit()


def end(study: DrivenStudy, trial: Trial, ending: Ending, *losses: float) -> None:
    """Save and report losses, then end."""
    for step, loss in enumerate(losses, start=1):
        save(study, trial, step, loss)
    study.finish(trial, Outcome(ending, "x"))


def opened(
    saving_spec: SavingSpec, catalog: Catalog, keep: str = "{}"
) -> tuple[StudySpec, DrivenStudy]:
    """A study of nine trials that `Scripted` rules."""
    spec = saving_spec("scripted", "{trials: 9}", **{"seed: 3": f"seed: 3\nkeep: {keep}"})
    return spec, open_study(spec, catalog)


# ---- running trials ----


@pytest.mark.parametrize(
    ("last", "kept"),
    [
        (1, [{1}, {2}, {2, 3}, {2, 4}, {5}]),
        (2, [{1}, {1, 2}, {2, 3}, {2, 3, 4}, {4, 5}]),
        (9, [{1}, {1, 2}, {1, 2, 3}, {1, 2, 3, 4}, {1, 2, 3, 4, 5}]),
    ],
)
def test_a_running_trial_keeps_its_last_ones_and_its_best(
    saving_spec: SavingSpec, catalog: Catalog, last: int, kept: list[set[int]]
) -> None:
    spec, study = opened(saving_spec, catalog, f"{{last: {last}}}")
    trial = asked(study)
    for step, loss in enumerate([3.0, 2.0, 4.0, 5.0, 1.0], start=1):
        save(study, trial, step, loss)
        assert on_disk(spec) == {f"0/1/{each}" for each in kept[step - 1]}
        needed = {str(Path(each).name) for each in study.needed()}
        assert needed == {f"step-{each:06d}" for each in kept[step - 1]}
    study.release()
    assert len(asked(open_study(spec, catalog)).checkpoints) == min(last, 5)


def test_nothing_is_deleted_before_it_is_stored(
    saving_spec: SavingSpec, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, study = opened(saving_spec, catalog, "{last: 1}")
    trial = asked(study)
    save(study, trial, 1, 1.0)
    monkeypatch.setattr(study._ledger, "commit", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(study, trial, 2, 0.5)
    assert on_disk(spec) == {"0/1/1", "0/1/2"}
    again = asked(open_study(spec, catalog))
    assert [each.step for each in again.checkpoints] == [1]
    checkpoints.verify(again.checkpoints[0])


# ---- finished trials ----


def test_of_finished_trials_the_best_ones_best_is_kept(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    spec, study = opened(saving_spec, catalog)
    end(study, asked(study), Ending.COMPLETED, 5.0, 3.0, 4.0)
    assert on_disk(spec) == {"0/1/2"}
    end(study, asked(study), Ending.COMPLETED, 9.0, 8.0)
    assert on_disk(spec) == {"0/1/2"}
    Scripted.stops = {2: 1}
    end(study, asked(study), Ending.STOPPED, 2.0)
    assert on_disk(spec) == {"2/1/1"}
    end(study, asked(study), Ending.FAILED, 1.0)
    assert on_disk(spec) == {"2/1/1"}
    end(study, asked(study), Ending.COMPLETED, 2.0)  # the earliest of equals is the best
    assert on_disk(spec) == {"2/1/1"}
    assert set(open_study(spec, catalog).needed()) == set(study.needed())
    assert frozen(spec)[2].user_attrs["checkpoint"] in study.needed()


def test_more_of_the_best_may_be_kept(saving_spec: SavingSpec, catalog: Catalog) -> None:
    spec, study = opened(saving_spec, catalog, "{best: 2}")
    for loss in (5.0, 3.0, 4.0, 6.0):
        end(study, asked(study), Ending.COMPLETED, loss)
    assert on_disk(spec) == {"1/1/1", "2/1/1"}
    study = open_study(spec, catalog)
    end(study, asked(study), Ending.COMPLETED, 1.0)
    assert on_disk(spec) == {"1/1/1", "4/1/1"}


# ---- paused trials ----


@pytest.mark.parametrize(
    ("paused", "kept"),
    [("all", {0, 1, 2}), ("2", {1, 2}), ("1", {1}), ("0", set())],
)
def test_paused_trials(
    saving_spec: SavingSpec, catalog: Catalog, paused: str, kept: set[int]
) -> None:
    spec, study = opened(saving_spec, catalog, f"{{paused: {paused}}}")
    Scripted.pauses = {0: 1, 1: 1, 2: 1}
    for loss in (5.0, 3.0, 4.0):
        end(study, asked(study), Ending.PAUSED, loss)
    running = asked(study)
    save(study, running, 1, 9.0)
    expected = {f"{number}/1/1" for number in kept} | {"3/1/1"}
    assert on_disk(spec) == expected
    assert {Path(each).parts[-4] for each in open_study(spec, catalog).needed()} == {
        f"{number:04d}" for number in {*kept, 3}
    }


def test_a_resumed_trial_without_its_checkpoint_starts_over_and_finishes_right(
    saving_spec: SavingSpec, run: RunStudy
) -> None:
    spec = saving_spec(
        "{name: promoting, best: 2}", "{trials: 4}", **{"seed: 3": "seed: 3\nkeep: {paused: 0}"}
    )
    told = run(spec)
    complete = [row for row in rows(spec) if row.state == "complete"]
    assert len(complete) == 2
    for row in complete:
        expected = curve(**row.params, epochs=3)
        assert row.value == min(expected)
        assert list(frozen(spec)[row.number].intermediate_values.values()) == expected
        steps = [e.data["step"] for e in told if e.kind == "report" and e.trial == row.number]
        assert steps == [1, 1, 2, 3]
    assert told[-1].data["epochs"] == 4 + 2 * 2  # repeated epochs count once


def test_a_paused_trial_that_is_overtaken_loses_its_checkpoint(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    spec, study = opened(saving_spec, catalog, "{paused: 1}")
    Scripted.pauses = {0: 1, 1: 1}
    end(study, asked(study), Ending.PAUSED, 5.0)
    assert on_disk(spec) == {"0/1/1"}
    end(study, asked(study), Ending.PAUSED, 3.0)
    assert on_disk(spec) == {"1/1/1"}
    Scripted.answers = [Resume(1, "best")]
    resumed = asked(study)
    study.commit()
    assert on_disk(spec) == {"1/1/1"} and resumed.checkpoints


# ---- clones ----


def test_a_donors_checkpoint_stays_while_its_clone_may_need_it(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    spec, study = opened(saving_spec, catalog)
    Scripted.pauses = {1: 1, 2: 1}
    end(study, asked(study), Ending.COMPLETED, 0.0)
    end(study, asked(study), Ending.PAUSED, 5.0)
    end(study, asked(study), Ending.PAUSED, 1.0)
    Scripted.answers = [clone(1), clone(2, replaces=1)]
    first = asked(study)
    asked(study)
    study.commit()
    assert on_disk(spec) == {"0/1/1", "1/1/1", "2/1/1"}  # 1 has ended, but its clone needs it
    assert set(open_study(spec, catalog).needed()) == set(study.needed())
    save(study, first, 2, 4.0)
    assert on_disk(spec) == {"0/1/1", "1/1/1", "2/1/1", "3/1/2"}  # as the one before the last
    save(study, first, 3, 3.0)
    assert on_disk(spec) == {"0/1/1", "2/1/1", "3/1/2", "3/1/3"}
    study.finish(first, Outcome(Ending.COMPLETED))
    assert on_disk(spec) == {"0/1/1", "2/1/1"}


# ---- through the runner ----


def test_what_is_registered_is_there(saving_spec: SavingSpec, run: RunStudy) -> None:
    spec = saving_spec(
        "{name: promoting, best: 2}", **{"seed: 3": "seed: 3\nregister: {best_as: m}"}
    )
    told = run(spec)
    best = told[-2].data["best_trial"]
    (version,) = models(spec)
    (kept,) = on_disk(spec)
    number, _, step = kept.split("/")
    assert int(number) == best == version.trial
    assert Path(version.path).read_text() == f"{best}/{step}"
    assert rows(spec)[best].attributes["checkpoint_step"] == int(step)
    run(spec, more=3)
    assert len(on_disk(spec)) == 1 and Path(version.path).is_file()


class Cut(BaseException):
    """The driver dies here."""


@pytest.fixture
def removing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """What is raised in the middle of the deletion of a checkpoint, while there is anything in this list."""
    errors: list[BaseException] = []
    remove = shutil.rmtree

    def failing(path: Path, *given: Any, **named: Any) -> None:
        if errors and Path(path).name.endswith(".deleted"):
            if not named.get("ignore_errors"):
                raise errors[0]
            return
        remove(path, *given, **named)

    monkeypatch.setattr(shutil, "rmtree", failing)
    yield errors
    errors.clear()


def test_what_a_crash_left_is_swept_by_the_next_run(
    saving_spec: SavingSpec, run: RunStudy, catalog: Catalog, removing: list[BaseException]
) -> None:
    spec = saving_spec("{name: promoting, best: 2}")
    removing.append(Cut())
    with pytest.raises(Cut):
        runner.run(spec, catalog, [])
    removing.clear()
    folder = Path(spec.directory, spec.study, "trials", "0000", "attempt-1", "checkpoints")
    for name in (".step-000002.partial", ".step-000001.deleted", "step-000009"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "state.json").write_text("{}")
    (folder.parent / "log.txt").write_text("not a checkpoint")
    run(spec)
    assert len(on_disk(spec)) == 1
    assert not [path for path in folder.glob("*") if path.name.startswith(".")]
    assert (folder.parent / "log.txt").is_file()


def test_a_directory_that_is_spelt_in_another_way_is_not_swept(
    saving_spec: SavingSpec,
    run: RunStudy,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    absolute = saving_spec("{name: promoting, best: 2}")
    relative = replace(absolute, directory="runs")
    left = open_study(relative, catalog)
    drive(left, catalog, limit=4)
    told = run(absolute)
    assert not [event for event in told if event.kind == "warning"]
    assert told[-1].data["epochs"] == 10 == len([e for e in stored(absolute) if e.kind == "report"])
    assert os.listdir(tmp_path / "runs") == ["bowl"]


def test_a_checkpoint_that_cannot_be_deleted_is_a_warning(
    saving_spec: SavingSpec, run: RunStudy, removing: list[BaseException]
) -> None:
    removing.append(PermissionError(13, "Permission denied"))
    spec = saving_spec("none", "{trials: 2}")
    run(spec)
    warnings = [event.data["reason"] for event in stored(spec) if event.kind == "warning"]
    assert warnings and all(each.endswith("Permission denied") for each in warnings)
    assert [row.state for row in rows(spec)] == ["complete", "complete"]


def test_the_best_trials_checkpoint_is_kept_even_if_its_best_epoch_was_not_saved(
    saving_spec: SavingSpec, run: RunStudy, offer: Offer
) -> None:
    def uneven(run: Run, *, x: float, y: float) -> None:
        first = run.trial.number == 0
        run.report(1, {"loss": 0.0 if first else 2.0})
        with run.checkpoint(2) as folder:
            (folder / checkpoints.MODEL).write_text(f"{run.trial.number}")
        run.report(2, {"loss": 5.0 if first else 1.0})

    offer("objectives", "uneven", uneven)
    spec = saving_spec(
        "none",
        "{trials: 3}",
        **{"name: saving,": "name: uneven,", "seed: 3": "seed: 3\nregister: {best_as: m}"},
    )
    told = run(spec)
    assert told[-2].data["best_trial"] == 0
    (version,) = models(spec)
    assert (version.trial, version.value) == (0, 5.0)
    assert on_disk(spec) == {"0/1/2"}


def test_what_was_saved_and_never_reported_is_gone_at_the_end(
    saving_spec: SavingSpec, run: RunStudy, offer: Offer
) -> None:
    def dying(run: Run, *, x: float, y: float) -> None:
        with run.checkpoint(1) as folder:
            (folder / "state.json").write_text("{}")
        if run.trial.attempt == 1:
            raise MemoryError
        run.report(1, {"loss": x})

    offer("objectives", "dying", dying)
    spec = saving_spec("none", "{trials: 2}", **{"name: saving,": "name: dying,"})
    run(spec)
    best = min(rows(spec), key=lambda row: row.params["x"]).number
    assert on_disk(spec) == {f"{best}/2/1"}


# ---- whose files they are ----


def test_a_study_that_was_set_aside_finds_its_checkpoints(
    saving_spec: SavingSpec, run: RunStudy
) -> None:
    spec = saving_spec("none", "{trials: 1}", **{"goal: minimize": "goal: maximize"})
    run(spec)
    run(spec, fresh=True)
    aside = replace(spec, study="bowl.1")
    before = on_disk(spec)
    assert before == on_disk(aside)
    run(aside, more=5)
    best = max(rows(aside), key=lambda row: row.value or 0.0).number
    assert best > 0 and {each.split("/")[0] for each in on_disk(aside)} == {str(best)}
    assert on_disk(spec) == before  # though the events of the other one name just these


@pytest.mark.parametrize(
    ("attempt", "known"),
    [("0000/attempt-1", True), ("0000/attempt-2", False), ("0001/attempt-1", False)],
)
def test_what_another_driver_has_saved_meanwhile_is_not_swept(
    saving_spec: SavingSpec, run: RunStudy, catalog: Catalog, attempt: str, known: bool
) -> None:
    spec = saving_spec("none", "{trials: 1}")
    run(spec)
    trials = Path(spec.directory, spec.study, "trials")
    folder = trials / attempt / "checkpoints" / "step-000007"
    folder.mkdir(parents=True)
    runner._sweep(spec, open_study(spec, catalog))
    assert folder.exists() is not known
