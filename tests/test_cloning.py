"""Clones: trials of their own that begin with another one's checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driving import Scripted, clone, curve, drive, frozen, on_disk, open_study
from stored import rows, states, stored

from hpo_core import Clone, Ending, Outcome, Report, Start, Trial
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError
from hpo_core.execution import execute
from hpo_core.spec import StudySpec
from hpo_core.study import DrivenStudy

SavingSpec = Callable[..., StudySpec]


@pytest.fixture
def donor(saving_spec: SavingSpec, catalog: Catalog) -> tuple[StudySpec, DrivenStudy]:
    """A study of four trials whose first one is paused after epoch 2."""
    Scripted.pauses = {0: 2}
    spec = saving_spec("scripted", "{trials: 4}")
    study = open_study(spec, catalog)
    run(study, catalog, study.ask())
    return spec, study


Donor = tuple[StudySpec, DrivenStudy]


def run(study: DrivenStudy, catalog: Catalog, trial: Trial | None) -> Outcome:
    """Run an attempt to its end, and say so."""
    assert trial is not None
    outcome = execute(trial, catalog, lambda report: study.report(trial, report))
    study.finish(trial, outcome)
    return outcome


def test_a_clone_begins_with_its_donors_checkpoint(donor: Donor, catalog: Catalog) -> None:
    spec, study = donor
    Scripted.answers = [clone(0, x=2.0, y=-1.0)]
    child = study.ask()
    assert child is not None
    assert (child.number, child.attempt, child.parent, child.parent_step) == (1, 1, 0, 2)
    assert child.params == {"x": 2.0, "y": -1.0}
    assert [(each.step, "trials/0000" in each.path) for each in child.checkpoints] == [(2, True)]
    started = stored(spec)
    run(study, catalog, child)
    events = stored(spec)[len(started) :]
    assert [event.data["step"] for event in events if event.kind == "report"] == [3]
    start = events[0].data
    assert (start["origin"], start["parent"], start["parent_step"]) == ("cloned", 0, 2)
    assert start["reason"] == "exploits trial 0"
    donors = curve(**frozen(spec)[0].params, epochs=2)[-1]
    assert frozen(spec)[1].intermediate_values == {3: 0.5 * donors + (1 + 1) / 3}
    assert frozen(spec)[1].user_attrs["parent"] == 0
    assert frozen(spec)[1].user_attrs["parent_step"] == 2
    assert study.epochs == 3  # the donor's two are not counted again


def test_clones_count_as_trials(donor: Donor, catalog: Catalog) -> None:
    spec, study = donor
    Scripted.answers = [clone(0), clone(0), clone(0)]
    running = [study.ask() for _ in range(4)]
    assert [trial is not None for trial in running] == [True, True, True, False]
    for trial in running[:3]:
        run(study, catalog, trial)
    drive(study, catalog)
    assert study.done and len(rows(spec)) == 4


def test_a_clone_that_has_no_room_is_a_mistake(donor: Donor, catalog: Catalog) -> None:
    _, study = donor
    for _ in range(3):
        study.ask()
    Scripted.answers = [clone(0)]
    with pytest.raises(HpoError, match=r"asked for what cannot be: Clone"):
        study.ask()


def test_the_trial_that_a_clone_replaces_ends(donor: Donor, catalog: Catalog) -> None:
    spec, study = donor
    Scripted.pauses = {1: 1}
    run(study, catalog, study.ask())
    Scripted.answers = [clone(0, replaces=1)]
    child = study.ask()
    study.commit()
    assert states(spec) == ["paused", "pruned", "running"]
    replaced = rows(spec)[1]
    assert replaced.reason == "exploits trial 0" and replaced.value is not None
    run(study, catalog, child)
    assert on_disk(spec) >= {"0/1/2"} and not any(each.startswith("1/") for each in on_disk(spec))


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"x": 1.0}, "y is missing"),
        ({"x": 1.0, "y": 99.0}, r"y cannot be 99\.0"),
        ({"x": 1.0, "y": "many"}, "y cannot be 'many'|many"),
        ({"x": 1.0, "y": 1.0, "z": 1.0}, "z cannot be set"),
    ],
)
def test_a_clone_must_be_in_the_space(
    donor: Donor, catalog: Catalog, params: dict[str, float], problem: str
) -> None:
    spec, study = donor
    before = stored(spec)
    Scripted.answers = [Clone(0, params, "explores")]
    with pytest.raises(HpoError, match=rf"clone of trial 0 .*not in the space: .*({problem})"):
        study.ask()
    study.release()
    assert stored(spec) == before and len(rows(spec)) == 1
    Scripted.answers = [clone(0)]
    run(study, catalog, study.ask())  # nothing is broken


def test_a_donor_without_a_checkpoint_cannot_be_cloned(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    Scripted.pauses = {0: 1}
    spec = saving_spec("scripted", **{"name: saving,": "name: bowl,"})
    study = open_study(spec, catalog)
    run(study, catalog, study.ask())
    Scripted.answers = [clone(0)]
    with pytest.raises(HpoError, match="trial 0 cannot be cloned: the objective 'bowl' saved no"):
        study.ask()
    study.release()
    assert len(rows(spec)) == 1


@pytest.mark.parametrize("answer", [clone(7), clone(0, replaces=7), clone(0, replaces=1)])
def test_a_clone_of_or_instead_of_what_cannot_be_is_a_mistake(
    donor: Donor, catalog: Catalog, answer: Clone
) -> None:
    spec, study = donor
    running = study.ask()
    assert running is not None and running.number == 1
    before = stored(spec)
    Scripted.answers = [answer]
    with pytest.raises(HpoError, match=r"asked for what cannot be: Clone"):
        study.ask()
    study.commit()
    assert [event.kind for event in stored(spec)[len(before) :]] == ["trial_started"]


def test_a_clone_that_is_lost_begins_with_the_donor_again_until_it_has_its_own(
    donor: Donor, catalog: Catalog
) -> None:
    spec, study = donor
    Scripted.answers = [clone(0), Start()]
    child = study.ask()
    study.commit()
    assert child is not None
    again = open_study(spec, catalog).ask()
    assert again is not None and (again.number, again.attempt) == (1, 2)
    assert (again.parent, again.parent_step) == (0, 2)
    assert again.checkpoints == child.checkpoints


def test_a_clones_damaged_donor_lets_it_begin_at_the_beginning(
    donor: Donor, catalog: Catalog
) -> None:
    spec, study = donor
    Scripted.answers = [clone(0, x=2.0, y=-1.0)]
    child = study.ask()
    assert child is not None
    state = next(iter(child.checkpoints)).path + "/state.json"
    with open(state, "a") as file:
        file.write(" ")
    run(study, catalog, child)
    reports = [e.data for e in stored(spec) if e.kind == "report" and e.trial == 1]
    assert [data["step"] for data in reports] == [1, 2, 3]
    assert [data.get("repeated", False) for data in reports] == [True, True, False]
    expected = dict(enumerate(curve(2.0, -1.0, 3), start=1))
    assert frozen(spec)[1].intermediate_values == expected
    warning = next(event for event in stored(spec) if event.kind == "warning")
    assert (
        warning.trial == 1 and "the checkpoint after epoch 2 is damaged" in warning.data["reason"]
    )


def test_a_killed_clone_and_its_donor_are_told_again_as_they_were(
    donor: Donor, catalog: Catalog
) -> None:
    spec, study = donor
    Scripted.answers = [clone(0)]
    run(study, catalog, study.ask())
    before = study._scheduler
    after = open_study(spec, catalog)._scheduler
    assert isinstance(before, Scripted) and isinstance(after, Scripted)
    assert (after.seen, after.endings) == (before.seen, before.endings)
    assert after.seen == [(0, 1), (0, 2), (1, 3)]
    assert after.endings[0] == (0, Ending.PAUSED, "later")


def test_a_report_between_a_donors_pause_and_its_clone_counts_for_the_clone_alone(
    donor: Donor, catalog: Catalog
) -> None:
    _, study = donor
    Scripted.answers = [clone(0)]
    child = study.ask()
    assert child is not None
    study.report(child, Report(3, {"loss": -5.0}))
    study.finish(child, Outcome(Ending.COMPLETED))
    best = study.best()
    assert best is not None and (best.number, best.value) == (1, -5.0)


def test_a_clone_with_nothing_left_to_do_fails_and_the_study_opens_again(
    donor: Donor, catalog: Catalog
) -> None:
    spec, study = donor
    Scripted.answers = [clone(0, x=2.0, y=-1.0)]
    child = study.ask()
    assert child is not None
    study.finish(child, Outcome(Ending.COMPLETED))  # its donor was at the last epoch
    assert states(spec)[child.number] == "fail"
    assert "reported nothing" in frozen(spec)[child.number].user_attrs["reason"]
    assert open_study(spec, catalog).finished == 1


def test_a_clone_of_a_trial_whose_checkpoint_was_not_kept_is_a_mistake(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    Scripted.pauses = {0: 2}
    spec = saving_spec("scripted", "{trials: 4}", **{"seed: 3": "seed: 3\nkeep: {paused: 0}"})
    study = open_study(spec, catalog)
    run(study, catalog, study.ask())
    Scripted.answers = [clone(0)]
    with pytest.raises(HpoError, match=r"trial 0 cannot be cloned: keep.paused is too small"):
        study.ask()
