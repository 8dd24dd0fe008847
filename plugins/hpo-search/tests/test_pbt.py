"""Population based training: who is replaced by whom, and with which parameters."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hpo_search._exploration import Exploration, draw, perturb
from hpo_search.pbt import Pbt

from hpo_core import (
    Clone,
    Decision,
    Ending,
    Float,
    Int,
    Outcome,
    Report,
    Resume,
    SchedulerContext,
    Space,
    Start,
    Trial,
    Verdict,
    Wait,
)
from hpo_core.testing.search import SPACES, assert_within
from hpo_core.testing.simulated_study import assert_active

SPACE = Space({"lr": {"float": [1e-4, 1.0], "log": True}, "epochs": 9})
CONTEXT = SchedulerContext(1, SPACE)
PAUSED = Outcome(Ending.PAUSED)


def trial(number: int, parent: int | None = None, step: int = 0, lr: float = 0.1) -> Trial:
    return Trial(
        number=number,
        attempt=1,
        objective="simulated",
        params={"lr": lr},
        config={"epochs": 9},
        seed=0,
        metric="metric",
        goal="maximize",
        directory="/nowhere",
        parent=parent,
        parent_step=step,
    )


def run(pbt: Pbt, member: Trial, step: int, value: float) -> Decision:
    """One attempt that reports once, and pauses if it is told to."""
    pbt.on_start(member)
    decision = pbt.on_report(member, Report(step, {"metric": value}), value)
    if decision.verdict is Verdict.PAUSE:
        pbt.on_finish(member, PAUSED)
    return decision


def population(**options: Any) -> Pbt:
    """Four members that are ready for the first time at epoch 2: trial 1 is the worst, trial 3 the best."""
    pbt = Pbt(CONTEXT, population=4, interval=2, **options)
    for number, value in enumerate([0.5, 0.1, 0.6, 0.9]):
        assert pbt.next(True) == Start()
        run(pbt, trial(number, lr=(number + 1) / 1000), 2, value)
    return pbt


def test_the_worst_is_replaced_by_a_changed_copy_of_the_best() -> None:
    pbt = population(resample=0.0, factors=[0.8])
    assert pbt.next(True) == Resume(0, "generation 1: number 3 of 4")
    pbt.on_start(trial(0))
    answer = pbt.next(True)
    assert answer == Clone(
        3,
        {"lr": 0.0032},
        "generation 1: number 4 of 4, replaced by a copy of trial 3: lr 0.004 -> 0.0032",
        replaces=1,
    )
    pbt.on_finish(trial(1), Outcome(Ending.STOPPED))
    pbt.on_start(trial(4, parent=3, step=2))
    assert pbt.next(True) == Resume(2, "generation 1: number 2 of 4")


def test_a_clone_is_ready_an_interval_after_its_parents_step() -> None:
    pbt = population()
    pbt.on_start(trial(0))
    clone = trial(4, parent=3, step=2)
    pbt.on_finish(trial(1), Outcome(Ending.STOPPED))
    assert not run(pbt, clone, 3, 0.9).stop
    assert run(pbt, clone, 4, 0.9).reason == "generation 2: 0.9 is number 1 of 1 so far"


def test_without_room_everybody_just_goes_on() -> None:
    pbt = population()
    numbers = []
    while isinstance(answer := pbt.next(False), Resume):
        numbers.append(answer.number)
        pbt.on_start(trial(answer.number))
    assert numbers == [0, 1, 2, 3]
    assert pbt.next(False) == Wait()


def test_the_member_with_the_fewest_epochs_goes_first() -> None:
    pbt = population()
    run(pbt, trial(0), 4, 0.5)
    assert isinstance(pbt.next(True), Clone)  # trial 1, at epoch 2
    pbt.on_start(trial(1)), pbt.on_start(trial(2)), pbt.on_start(trial(3))
    assert pbt.next(True) == Resume(0, "generation 2: number 1 of 1")


def test_who_has_failed_or_come_to_the_end_is_not_copied() -> None:
    for ending in (Ending.FAILED, Ending.COMPLETED):
        pbt = population()
        pbt.on_start(trial(3))
        pbt.on_report(trial(3), Report(9, {"metric": 1.0}), 1.0)
        pbt.on_finish(trial(3), Outcome(ending))
        pbt.on_start(trial(0))
        if ending is Ending.FAILED:
            assert pbt.next(True) == Start()  # a new member makes up for it
            run(pbt, trial(4), 2, 0.0)
        answer = pbt.next(True)
        assert isinstance(answer, Resume) and answer.number == 1


def test_the_dice_depend_on_seed_member_and_epoch_alone() -> None:
    def clone(seed: int) -> Clone:
        pbt = population(quantile=0.5)
        pbt._seed = seed
        answer = pbt.next(True)
        assert isinstance(answer, Clone) and answer.replaces == 0
        return answer

    assert clone(1) == clone(1)
    assert len({(clone(seed).parent, clone(seed).params["lr"]) for seed in range(9)}) > 4
    assert {clone(seed).parent for seed in range(9)} == {2, 3}


@pytest.mark.parametrize(
    ("value", "factor", "distribution", "expected"),
    [
        (0.5, 1.2, Float(0.0, 1.0), 0.6),
        (0.9, 1.2, Float(0.0, 1.0), 1.0),
        (1e-4, 0.8, Float(1e-4, 1.0, log=True), 1e-4),
        (-0.5, 0.8, Float(-1.0, 1.0), -0.4),
        (0.2, 1.2, Float(0.0, 0.3, step=0.1), 0.3),  # 0.24 would be 0.2 again: a step at least
        (0.3, 1.2, Float(0.0, 0.3, step=0.1), 0.3),
        (2, 0.8, Int(1, 8), 1),
        (2, 1.2, Int(1, 8), 3),
        (10, 1.2, Int(1, 100), 12),
        (32, 0.8, Int(16, 96, step=16), 16),
        (48, 2.0, Int(16, 96, step=16), 96),
        (80, 2.0, Int(16, 96, step=16), 96),
        (100, 0.8, Int(1, 300, log=True), 80),
        (7, 1.2, Int(7, 7), 7),
    ],
)
def test_perturbed_values_stay_within_bounds_and_on_the_grid(
    value: float, factor: float, distribution: Float | Int, expected: float
) -> None:
    changed = perturb(value, factor, distribution)
    assert changed == pytest.approx(expected)
    assert_within(distribution, changed)


def filled(space: Space, dice: random.Random) -> dict[str, Any]:
    params: dict[str, Any] = {}

    def suggest(path: str, distribution: Any) -> Any:
        params[path] = draw(distribution, dice)
        assert_within(distribution, params[path])
        return params[path]

    space.fill(suggest)
    return params


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("resample", [0.0, 0.5, 1.0])
def test_explored_parameters_are_those_that_are_active(name: str, resample: float) -> None:
    space, dice = SPACES[name], random.Random(3)
    exploration = Exploration(space, [0.8, 1.2], resample, [])
    for _ in range(100):
        params, _ = exploration.explore(filled(space, dice), dice)
        assert_active(space, params)


def test_choices_change_only_by_being_drawn_anew_and_bring_their_parameters() -> None:
    space, dice = SPACES["conditional"], random.Random(3)
    parent = {"optimizer": "adamw", "optimizer.adamw.beta": 0.9, "lr": 0.1, "epochs": 5}
    kept = [Exploration(space, [0.8], 0.0, []).explore(parent, dice)[0] for _ in range(20)]
    assert {params["optimizer"] for params in kept} == {"adamw"}
    drawn = [Exploration(space, [0.8], 1.0, []).explore(parent, dice)[0] for _ in range(20)]
    assert {params["optimizer"] for params in drawn} == {"adamw", "sgd"}
    sgd = next(params for params in drawn if params["optimizer"] == "sgd")
    assert set(sgd) == {
        "optimizer", "optimizer.sgd.momentum", "optimizer.sgd.nesterov", "lr", "epochs",
    }  # fmt: skip


def test_what_is_kept_is_kept_and_changes_are_named() -> None:
    parent = {"optimizer": "adamw", "optimizer.adamw.beta": 0.9, "lr": 0.1, "epochs": 5}
    exploration = Exploration(SPACES["conditional"], [0.5], 0.0, ["epochs", "optimizer*"])
    params, changes = exploration.explore(parent, random.Random(0))
    assert params == parent | {"lr": 0.05}
    assert changes == ["lr 0.1 -> 0.05"]
