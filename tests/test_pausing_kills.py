"""A study that is killed at any moment and continued is the study that was not, pauses included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from driving import Killed, Mortal, decisions, drive, frozen, kills, open_study, results
from stored import stored

from hpo_core.catalog import Catalog
from hpo_core.spec import StudySpec

SavingSpec = Callable[..., StudySpec]

STUDIES = {
    "random": ("{name: promoting, best: 1}", "random"),
    "tpe with a fidelity": ("{name: promoting, best: 1, fidelity: 1}", "tpe"),
    "tpe without": ("{name: promoting, best: 1}", "tpe"),
}


def whole(spec: StudySpec, catalog: Catalog) -> StudySpec:
    """The study driven to its end without a kill."""
    made = replace(spec, study="whole")
    study = open_study(made, catalog)
    drive(study, catalog)
    assert study.done
    return made


def proposals(spec: StudySpec) -> list[Any]:
    """What each trial was proposed from."""
    return [
        (event.trial, event.data["params"], event.data["learned_from"])
        for event in stored(spec)
        if event.kind == "trial_started" and event.data["origin"] == "new"
    ]


@pytest.mark.parametrize(
    ("kind", "durable"),
    [
        ("random", True),
        ("tpe without", True),
        ("tpe with a fidelity", True),
        ("tpe with a fidelity", False),
    ],
)
def test_killed_before_any_call(
    saving_spec: SavingSpec, catalog: Catalog, kind: str, durable: bool
) -> None:
    scheduler, sampler = STUDIES[kind]
    spec = saving_spec(scheduler, "{trials: 5}", sampler)
    uncut = whole(spec, catalog)
    expected = results(uncut), decisions(uncut), proposals(uncut)
    number = 0
    for number, cut in enumerate(kills(spec, catalog, durable)):  # noqa: B007
        assert (results(cut), decisions(cut), proposals(cut)) == expected, cut.study
    assert number == 5 * 3 + 4 + 1  # ask, report(s) and finish of each attempt, and the last ask


def test_killed_before_any_call_among_clones(saving_spec: SavingSpec, catalog: Catalog) -> None:
    spec = saving_spec("exploiting", "{trials: 4}")
    uncut = whole(spec, catalog)
    expected = results(uncut), decisions(uncut), lineage(uncut)
    assert len([parent for _, parent, _ in lineage(uncut) if parent is not None]) == 2
    for cut in kills(spec, catalog, durable=True):
        assert (results(cut), decisions(cut), lineage(cut)) == expected, cut.study


def lineage(spec: StudySpec) -> list[tuple[int, Any, Any]]:
    """Where each trial comes from."""
    attributes = [(trial.number, trial.user_attrs) for trial in frozen(spec)]
    return [(number, each.get("parent"), each.get("parent_step")) for number, each in attributes]


@pytest.mark.parametrize("calls", [2, 3, 5])
def test_killed_again_and_again(saving_spec: SavingSpec, catalog: Catalog, calls: int) -> None:
    spec = saving_spec("{name: promoting, best: 1, fidelity: 1}", "{trials: 5}", "tpe")
    expected = whole(spec, catalog)
    for _ in range(60):
        study = open_study(spec, catalog)
        try:
            Mortal(study, calls, durable=True).drive(catalog)
        except Killed:
            continue
        break
    assert study.done
    assert results(spec) == results(expected) and decisions(spec) == decisions(expected)
    seconds = [event.seq for event in stored(spec)]
    assert seconds == list(range(len(seconds)))
    assert max(trial.user_attrs["attempt"] for trial in frozen(spec)) > 1


def test_the_trial_scheduler_is_rebuilt(saving_spec: SavingSpec, catalog: Catalog) -> None:
    spec = saving_spec("{name: promoting, best: 1}", "{trials: 4}")
    expected = whole(spec, catalog)
    for cut in kills(spec, catalog, durable=True):
        again: Any = open_study(cut, catalog)._scheduler
        once: Any = open_study(expected, catalog)._scheduler
        assert [each for each in again.told if each[0] != "start"] == [
            each for each in once.told if each[0] != "start"
        ]
        assert vars(again) | {"told": None} == vars(once) | {"told": None}


def test_a_trial_that_had_ended_by_itself_does_not_begin_again(
    saving_spec: SavingSpec, catalog: Catalog
) -> None:
    """Killed between its last report and its end: the next attempt continues from there, with nothing to do."""
    spec = saving_spec("none", "{trials: 1}")
    study = open_study(spec, catalog)
    with pytest.raises(Killed):
        Mortal(study, 4, durable=True).drive(catalog)  # ask, three reports
    drive(open_study(spec, catalog), catalog)
    (trial,) = frozen(spec)
    assert trial.state.name == "COMPLETE" and trial.user_attrs["attempt"] == 2
    assert [event.data["attempt"] for event in stored(spec) if event.kind == "report"] == [1, 1, 1]
