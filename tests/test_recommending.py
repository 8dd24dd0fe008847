"""The rules of `hpo recommend`, on studies made up for them: with the defect, and without it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hpo_core import ClassReport, plugins
from hpo_core.catalog import Catalog
from hpo_core.cli import recommend
from hpo_core.recommending import RULES, Edit, Finding, Studied, findings
from hpo_core.recommending.outcomes import configurations
from hpo_core.results.trials import ResultTrial
from hpo_core.space import Space, parse
from hpo_core.spec import check
from hpo_core.yaml_source import apply_override
from hpo_core.yaml_source import parse as parse_yaml

LR = {"float": [1e-3, 1.0], "log": True}


def objective(**options: Any) -> dict[str, Any]:
    given = {"optimizer": {"name": "sgd", "lr": LR}}
    return {"name": "image-classification", "epochs": 9, **given, **options}


def made(
    params: Mapping[str, Any],
    curve: Sequence[float],
    number: int = 0,
    state: str = "complete",
    **others: Any,
) -> ResultTrial:
    """A trial whose metric had these values, epoch by epoch. `others`: more metrics, options, a reason."""
    failed = state == "fail"
    curves = {"val_accuracy": dict(enumerate(curve, 1))}
    curves |= {name: dict(enumerate(v, 1)) for name, v in others.get("metrics", {}).items()}
    return ResultTrial(
        study="made",
        metric="val_accuracy",
        goal="maximize",
        number=number,
        state=state,
        value=None if failed or not curve else max(curve),
        best_step=None if failed or not curve else 1 + list(curve).index(max(curve)),
        epochs=len(curve),
        attempt=1,
        seconds=1.0,
        reason=others.get("reason", ""),
        params=params,
        options={**params, **others.get("options", {})},
        metrics={},
        curves=curves,
    )


def study(
    trials: Sequence[ResultTrial],
    tree: Mapping[str, Any] | None = None,
    scheduler: Mapping[str, Any] | None = None,
    classes: ClassReport | None = None,
) -> Studied:
    numbered = [
        ResultTrial(**{**vars(each), "number": number}) for number, each in enumerate(trials)
    ]
    identity = {
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "seed": 0,
        "objective": objective() if tree is None else tree,
        "sampler": {"name": "tpe"},
        "trial_scheduler": scheduler or {"name": "none"},
    }
    return Studied(identity, tuple(numbered), classes)


def only(rule: str, given: Studied) -> Finding:
    (found,) = RULES[rule](given)
    assert found.rule == rule
    return found


def silent(rule: str, given: Studied) -> bool:
    return not list(RULES[rule](given))


def lrs(peak: float, n: int = 20, seed: int = 0) -> list[ResultTrial]:
    """Trials with LRs all over the range, the better the nearer to a peak (in decades)."""
    draw = random.Random(seed)
    found = []
    for _ in range(n):
        lr = 10 ** draw.uniform(-3, 0)
        value = 0.9 - 0.1 * abs(math.log10(lr) - peak) + draw.gauss(0, 0.005)
        found.append(made({"optimizer.lr": lr}, [value]))
    return found


# ---- ranges ----


def test_the_best_at_the_lower_end_of_a_range() -> None:
    found = only("range-edge", study(lrs(-3.5, n=40)))
    assert found.edits == (Edit("objective.optimizer.lr", {"float": [1e-4, 1.0], "log": True}),)
    assert str(found.edits[0]) == "objective.optimizer.lr: {float: [0.0001, 1.0], log: true}"
    assert found.evidence["of_them_in_last_quarter"] >= 4 and found.evidence["p"] < 0.05
    assert found.evidence["best_value"] == study(lrs(-3.5, n=40)).good[0].params["optimizer.lr"]


def test_the_best_at_the_upper_end_of_a_range() -> None:
    assert only("range-edge", study(lrs(0.5, n=40))).edits[0].value["float"] == [1e-3, 10.0]


@pytest.mark.parametrize("seed", range(20))
def test_the_best_in_the_middle_or_anywhere(seed: int) -> None:
    assert silent("range-edge", study(lrs(-1.5, seed=seed)))
    draw = random.Random(seed)
    noise = [made({"optimizer.lr": 10 ** draw.uniform(-3, 0)}, [draw.random()]) for _ in range(24)]
    assert silent("range-edge", study(noise))


def settled(seed: int) -> Studied:
    """Values that depend on nothing, from a sampler that soon proposes the end of a range alone."""
    draw = random.Random(seed)
    trials = [made({"optimizer.lr": 10 ** draw.uniform(-3, 0)}, [draw.random()]) for _ in range(8)]
    return study(trials + [made({"optimizer.lr": 0.00101}, [draw.random()]) for _ in range(32)])


def test_a_sampler_that_has_settled_at_an_end_for_no_reason() -> None:
    assert sum(not silent("range-edge", settled(seed)) for seed in range(100)) <= 10


def test_whole_numbers_and_what_ends_by_nature() -> None:
    tree = objective(layers={"int": [2, 12]}, dropout={"float": [0.0, 0.5]})
    draw = random.Random(1)
    dropouts = [draw.uniform(0, 0.5) for _ in range(30)]
    found = only("range-edge", study([made({"dropout": d}, [-d]) for d in dropouts], tree))
    assert found.edits == () and "ends where" in found.caveat
    layers = [draw.randint(2, 12) for _ in range(30)]
    found = only("range-edge", study([made({"layers": n}, [n]) for n in layers], tree))
    assert found.edits == (Edit("objective.layers", {"int": [2, 17]}),)


# ---- early stopping ----

ASHA = {"name": "asha", "min_epochs": 1, "reduction_factor": 3, "max_epochs": None}


def rungs(n: int, agreement: float, seed: int = 0, chosen: float = 0.4) -> list[ResultTrial]:
    """Trials of which the best by their first epoch got nine; they end as good as then, or as chance has it."""
    draw = random.Random(seed)
    first = [draw.gauss(0, 1) for _ in range(n)]
    bar = sorted(first, reverse=True)[int(chosen * n)]
    found = []
    for value in first:
        last = agreement * value + math.sqrt(1 - agreement**2) * draw.gauss(0, 1)
        stopped = value <= bar
        curve = [value] if stopped else [value + k / 8 * (last - value) for k in range(9)]
        found.append(made({"optimizer.lr": 0.1}, curve, state="pruned" if stopped else "complete"))
    return found


def test_all_stopped_at_the_first_rung() -> None:
    trials = [made({}, [k / 20], state="pruned") for k in range(19)] + [made({}, [0.9] * 9)]
    found = only("first-rung", study(trials, scheduler=ASHA))
    assert found.edits == (Edit("trial_scheduler.min_epochs", 3),)
    assert (found.evidence["stopped_at_first"], found.evidence["trials"]) == (19, 20)


def test_some_went_on_or_all_ended_by_themselves() -> None:
    assert silent("first-rung", study(rungs(30, 0.9), scheduler=ASHA))
    assert silent("first-rung", study([made({}, [0.5]) for _ in range(20)], objective(epochs=1)))


def test_a_rung_that_says_nothing_of_the_end() -> None:
    found = only("rungs-disagree", study(rungs(60, 0.0), scheduler=ASHA))
    assert abs(found.evidence["corrected"]) >= abs(found.evidence["spearman"])
    assert found.evidence["reached_rung"] == 60 and found.evidence["trials"] == 24
    assert "chosen by the earlier value" in found.caveat
    assert found.edits[0].path in ("trial_scheduler", "trial_scheduler.min_epochs")


def test_a_rung_that_agrees_is_left_alone_although_the_chosen_look_alike() -> None:
    alarms = sum(
        not silent("rungs-disagree", study(rungs(60, 0.9, seed), scheduler=ASHA))
        for seed in range(100)
    )
    assert alarms <= 5


def test_without_early_stopping_no_rung_is_blamed() -> None:
    whole = [made({}, [k % 7 / 7, k % 5 / 5]) for k in range(30)]
    assert silent("rungs-disagree", study(whole, objective(epochs=2)))


def test_too_few_to_say_that_rungs_disagree() -> None:
    assert silent("rungs-disagree", study(rungs(12, 0.0), scheduler=ASHA))


# ---- metrics ----


def test_a_metric_that_never_moved() -> None:
    loss = [{"val_loss": [1.0, 0.5 + k / 10]} for k in range(5)]
    found = only("metric-never-moved", study([made({}, [0.1, 0.1], metrics=each) for each in loss]))
    assert found.edits == (Edit("metric", {"name": "val_loss", "goal": "minimize"}),)
    assert found.evidence["different_values"] == 1
    still = [made({"optimizer.lr": 0.1}, [0.1 + k / 100] * 3) for k in range(4)]
    found = only("metric-never-moved", study(still))
    assert found.edits == (Edit("objective.optimizer.lr", {"float": [1e-4, 10.0], "log": True}),)


def test_a_metric_that_moved() -> None:
    assert silent("metric-never-moved", study([made({}, [k / 10]) for k in range(5)]))  # one epoch
    moved = [made({}, [0.1, 0.1]) for _ in range(5)] + [made({}, [0.1, 0.2])]
    assert silent("metric-never-moved", study(moved))
    assert silent("metric-never-moved", study([]))


def scheduled(name: str, rates: list[float], **others: Any) -> ResultTrial:
    options = {"lr_scheduler": name}
    values = [0.5 + k / 100 for k in range(len(rates))]
    return made({"lr_scheduler": name}, values, metrics={"lr": rates}, options=options, **others)


SCHEDULERS = {"choice": ["cosine", "constant", {"name": "plateau", "patience": 0.4}, "odd"]}


def test_an_lr_scheduler_that_never_moved_the_lr() -> None:
    trials = [
        scheduled("cosine", [0.1, 0.05]),
        scheduled("constant", [0.1, 0.1]),
        scheduled("plateau", [0.1, 0.1]),
        scheduled("odd", [0.1, 0.1]),
    ]
    tree = objective(lr_scheduler=SCHEDULERS)
    waits, odd = RULES["lr-never-moved"](study(trials, tree))
    assert waits.evidence["lr_scheduler"] == "plateau"
    assert waits.edits == (Edit("objective.lr_scheduler.choice.2.patience", 0.2),)
    assert odd.edits == (Edit("objective.lr_scheduler", {"choice": ["cosine", "constant"]}),)


def test_an_lr_scheduler_that_moved_it_in_one_trial_or_had_no_time_to() -> None:
    trials = [
        scheduled("plateau", [0.1, 0.1]),
        scheduled("plateau", [0.1, 0.01]),
        scheduled("odd", [0.1, 0.1], state="pruned"),
    ]
    assert silent("lr-never-moved", study(trials, objective(lr_scheduler=SCHEDULERS)))


# ---- outcomes ----


def test_most_trials_failed() -> None:
    trials = [
        made(
            {"optimizer.lr": 0.5 + k / 20}, [], state="fail", reason=f"val_loss is nan at step {k}"
        )
        for k in range(6)
    ]
    trials += [made({"optimizer.lr": 0.012}, [0.5]), made({"optimizer.lr": 0.2}, [0.6])]
    found = only("failures", study(trials))
    assert (found.evidence["failed"], found.evidence["times"]) == (6, 6)
    assert "val_loss is nan at step 0" in found.says
    assert found.edits == (Edit("objective.optimizer.lr", {"float": [1e-3, 0.2], "log": True}),)


def test_one_alternative_always_fails() -> None:
    tree = objective(model={"choice": ["vgg", "resnet18"]})
    trials = [made({"model": "vgg"}, [], state="fail", reason="too small") for _ in range(5)]
    trials += [made({"model": "resnet18"}, [0.5]) for _ in range(3)]
    found = only("failures", study(trials, tree))
    assert found.edits == (Edit("objective.model", {"choice": ["resnet18"]}),)


def test_some_failures_are_no_finding() -> None:
    trials = [made({}, [], state="fail", reason="x") for _ in range(4)]
    assert silent("failures", study(trials + [made({}, [k / 9]) for k in range(6)]))
    assert silent("failures", study(trials[:2]))


def report(confusion: list[list[int]]) -> ClassReport:
    n = len(confusion)
    entries = tuple((i, j, confusion[i][j]) for i in range(n) for j in range(n))
    numbers = (0.5,) * n
    return ClassReport(tuple("abcdefgh"[:n]), numbers, numbers, numbers, entries)


def test_one_class_gets_most_predictions() -> None:
    classes = report([[10, 0, 0], [8, 2, 0], [7, 0, 3]])
    tree = objective(loss={"name": "cross-entropy", "class_weight_power": 0.0})
    found = only("one-class", study([made({}, [0.5])], tree, classes=classes))
    assert (found.evidence["class"], found.evidence["predicted"]) == ("a", 25)
    assert found.edits == (Edit("objective.loss.class_weight_power", 1.0),)


def test_predictions_that_follow_the_images() -> None:
    rare = report([[80, 0], [2, 18]])  # most are of it
    even = report([[9, 1, 0], [1, 9, 0], [0, 0, 10]])
    for classes in (rare, even, None):
        assert silent("one-class", study([made({}, [0.5])], classes=classes))


def test_trials_that_repeat_others() -> None:
    tree = {"name": "x", "a": {"choice": [1, 2]}, "b": {"int": [1, 2]}}
    trials = [made({"a": 1 + k % 2, "b": 1}, [k / 20]) for k in range(12)]
    found = only("duplicates", study(trials, tree))
    assert (found.evidence["repeated"], found.evidence["different"]) == (10, 2)
    assert found.edits == (Edit("budget.trials", 4),)
    large = {**tree, "c": {"int": [1, 99]}}
    assert only("duplicates", study(trials, large)).edits == (Edit("sampler", {"name": "grid"}),)


def test_trials_that_differ() -> None:
    assert silent("duplicates", study(lrs(-1.5)))
    assert silent("duplicates", study([made({}, [0.5])] * 9, {"name": "x"}))  # nothing is searched


def test_configurations_are_counted_through_choices() -> None:
    tree = {"a": {"choice": ["x", {"name": "y", "b": {"int": [1, 5]}}]}, "c": {"choice": [1, 2]}}
    assert configurations(tree) == 12
    assert configurations({"a": {"float": [0, 1], "step": 0.25}}) == 5
    assert configurations(objective()) == math.inf


# ---- seeds and parameters ----

SEEDED = {"name": "x", "split_seed": {"choice": [0, 1, 2]}, "model": {"choice": ["a", "b", "c"]}}


def seeded(means: Mapping[str, float], spread: float) -> Studied:
    steps = (-spread, 0.0, spread)
    return study(
        [
            made({"split_seed": seed, "model": model}, [mean + steps[seed]])
            for model, mean in means.items()
            for seed in range(3)
        ],
        SEEDED,
    )


def test_seeds_differ_more_than_configurations() -> None:
    found = only("seeds-within-noise", seeded({"a": 0.9, "b": 0.89, "c": 0.5}, 0.02))
    assert found.evidence["best"] == {"model": "a"} and found.evidence["may_be_best"] == 2
    assert found.evidence["spread_over_seeds"] == pytest.approx(0.02)
    needed = found.evidence["seeds_needed"]
    assert needed == math.ceil(2 * (2.8 * 2) ** 2) and "call them equal" in found.caveat
    assert len(found.edits[0].value["choice"]) == 50


def test_no_number_of_seeds_tells_equals_apart() -> None:
    found = only("seeds-within-noise", seeded({"a": 0.9, "b": 0.9, "c": 0.5}, 0.02))
    assert found.evidence["difference"] == 0 and found.evidence["seeds_needed"] > 50
    assert "call them equal" in found.caveat


def test_configurations_differ_more_than_seeds() -> None:
    assert silent("seeds-within-noise", seeded({"a": 0.9, "b": 0.8, "c": 0.5}, 0.01))
    assert silent("seeds-within-noise", study(lrs(-1.5)))  # nothing is repeated


def test_a_parameter_without_importance_beside_one_with() -> None:
    tree = objective(other={"float": [0, 1]})
    draw = random.Random(3)
    trials = [
        made(
            {**each.params, "other": draw.random()},
            [each.value or 0.0],
        )
        for each in lrs(-1.5, n=60)
    ]
    found = only("no-importance", study(trials, tree))
    best = study(trials, tree).good[0]
    assert found.edits == (Edit("objective.other", best.params["other"]),)
    assert found.evidence["p"] > 0.2 and found.evidence["trials"] == 60


def test_parameters_that_all_matter_or_too_few_trials() -> None:
    tree = objective(other={"float": [0, 1]})
    draw = random.Random(4)
    trials = []
    for each in lrs(-1.5, n=60):
        other = draw.random()
        value = (each.value or 0.0) - 0.2 * abs(other - 0.3)
        trials.append(made({**each.params, "other": other}, [value]))
    assert silent("no-importance", study(trials, tree))
    assert silent("no-importance", study(trials[:20], tree))


# ---- edits ----


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return plugins.load()[0]


def file_of(given: Studied) -> str:
    return json.dumps({"study": "made", "budget": {"trials": 1}, **given.identity})


def real(**options: Any) -> dict[str, Any]:
    return {
        "name": "image-classification",
        "epochs": 9,
        "dataset": {"name": "digits"},
        "model": {"name": "resnet18"},
        "optimizer": {"name": "sgd", "lr": LR, "momentum": {"float": [0.5, 0.99]}},
        **options,
    }


def test_an_edit_is_an_override_that_makes_the_study_it_says(catalog: Catalog) -> None:
    given = study(lrs(-3.5, n=40), real())
    finding = recommend.possible(only("range-edge", given), given, catalog)
    edited = apply_override(parse_yaml(file_of(given), "made"), finding.edits[0].override)
    spec = check(edited, catalog, Path("made"), runs_here=False)
    wider = spec.space.parameters()["optimizer.lr"]
    assert wider == parse({"float": [1e-4, 1.0], "log": True})


def test_an_edit_that_an_option_does_not_allow_is_left_out(catalog: Catalog) -> None:
    trials = [made({"optimizer.momentum": 0.5 + 0.49 * k / 30}, [k / 30]) for k in range(31)]
    given = study(trials, real())
    finding = only("range-edge", given)
    assert finding.edits  # the rule does not know that 1 is the end
    finding = recommend.possible(finding, given, catalog)
    assert finding.edits == () and "objective.optimizer.momentum" in finding.caveat


def test_parameters_below_choices_have_paths_that_lead_to_them() -> None:
    tree = real(
        lr_scheduler={"choice": ["cosine", {"name": "step", "gamma": {"float": [0.1, 0.9]}}]}
    )
    given = study([], tree)
    assert given.paths["lr_scheduler.step.gamma"] == "objective.lr_scheduler.choice.1.gamma"
    assert set(given.paths) == set(Space(tree).parameters())
    for name, path in given.paths.items():
        source = parse_yaml(file_of(given), "made")
        edited = apply_override(source, f"{path}={{choice: [0.123, 0.456]}}").data["objective"]
        assert Space(edited).parameters()[name] == parse({"choice": [0.123, 0.456]})


def sound() -> list[Callable[[], Studied]]:
    """Studies that nothing is wrong with."""
    return [
        lambda: study(lrs(-1.5, n=40)),
        lambda: study(rungs(60, 0.95), scheduler=ASHA),
        lambda: seeded({"a": 0.9, "b": 0.8, "c": 0.5}, 0.01),
        lambda: study([]),
    ]


@pytest.mark.parametrize("make", sound())
def test_nothing_is_said_of_a_sound_study(make: Callable[[], Studied]) -> None:
    said = [each.rule for each in findings(make())]
    assert [rule for rule in said if rule != "duplicates"] == []  # made-up rungs share one LR
