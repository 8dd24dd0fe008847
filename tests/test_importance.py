"""`hpo importance`: parameters of which it is known how much they matter."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from results_studies import Told, store

from hpo_core.cli import main
from hpo_core.errors import UsageError
from hpo_core.results import importance
from hpo_core.results.trials import ResultTrial
from hpo_core.space import Space
from hpo_core.storage import database

TREE = {
    "strong": {"float": [0.0, 1.0]},
    "weak": {"float": [0.0, 1.0]},
    "nothing": {"float": [0.0, 1.0]},
    "kind": {"choice": ["a", {"name": "b", "inner": {"float": [0.0, 1.0]}}]},
}
SPACE = Space(TREE).parameters()


def told(
    params: Mapping[str, Any], curve: Sequence[float], state: str = "complete", **metrics: float
) -> ResultTrial:
    curves = {"loss": dict(enumerate(curve, 1)), **{k: {1: v} for k, v in metrics.items()}}
    return ResultTrial(
        study="made",
        metric="loss",
        goal="minimize",
        number=0,
        state=state,
        value=min(curve),
        best_step=1,
        epochs=len(curve),
        attempt=1,
        seconds=None,
        reason="",
        params=params,
        options=params,
        metrics={},
        curves=curves,
    )


def trials(n: int = 60, seed: int = 0) -> list[ResultTrial]:
    """Trials whose loss is that of `strong` and `inner`, a bit of `weak`, and noise."""
    draw = random.Random(seed)
    found = []
    for _ in range(n):
        params: dict[str, Any] = {name: draw.random() for name in ("strong", "weak", "nothing")}
        params["kind"] = draw.choice(["a", "b"])
        loss = (params["strong"] - 0.3) ** 2 + 0.02 * params["weak"] + draw.gauss(0, 0.002)
        if params["kind"] == "b":
            params["kind.b.inner"] = draw.random()
        found.append(told(params, [loss], accuracy=params["weak"]))
    return found


def test_what_matters_is_told_from_what_does_not() -> None:
    found = importance.evaluate(trials(), SPACE)
    rows = {row.parameter: row for row in found.parameters}
    assert found.parameters[0].parameter == "strong"
    assert rows["strong"].p == pytest.approx(1 / 51)  # no shuffle of 50 came near
    assert rows["strong"].importance > rows["nothing"].high
    assert rows["nothing"].p > importance.SURE
    assert sum(row.importance for row in found.parameters) == pytest.approx(1)
    assert all(row.low <= row.high for row in found.parameters)
    assert (found.trials, found.repeats, found.metric) == (60, 50, "loss")


def test_parameters_of_some_trials_are_assessed_among_those() -> None:
    some = trials()
    rows = {row.parameter: row for row in importance.evaluate(some, SPACE, repeats=2).parameters}
    having = sum("kind.b.inner" in each.params for each in some)
    assert rows["kind.b.inner"].trials == having < 60


def test_fanova_leaves_out_what_is_not_in_every_trial_and_says_so() -> None:
    found = importance.evaluate(trials(30), SPACE, evaluator="fanova", repeats=2)
    assert found.parameters[0].parameter == "strong"
    having = sum("kind.b.inner" in each.params for each in trials(30))
    assert found.left_out == {"kind.b.inner": f"is in {having} of 30 trials"}


def test_another_metric_has_other_parameters() -> None:
    found = importance.evaluate(trials(), SPACE, "accuracy", repeats=2)
    assert (found.metric, found.parameters[0].parameter) == ("accuracy", "weak")


def test_the_answer_is_the_same_each_time() -> None:
    some = trials(20)
    first, second = (importance.evaluate(some, SPACE, repeats=10) for _ in range(2))
    assert first == second


def test_stopped_trials_count_after_an_epoch_that_they_reached() -> None:
    stopped = [told(each.params, [each.value or 0.0], "pruned") for each in trials()]
    with pytest.raises(UsageError, match=r"^0 complete trials .* 60 were stopped early: --epoch 1"):
        importance.evaluate(stopped, SPACE)
    found = importance.evaluate(stopped, SPACE, epoch=1, repeats=2)
    assert (found.trials, found.parameters[0].parameter) == (60, "strong")
    with pytest.raises(UsageError, match=r"^0 trials that got to epoch 2"):
        importance.evaluate(stopped, SPACE, epoch=2)


def test_values_outside_of_the_ranges_are_left_out() -> None:
    narrow = dict(Space({**TREE, "strong": {"float": [0.2, 1.0]}}).parameters())
    outside = sum(each.params["strong"] < 0.2 for each in trials())
    found = importance.evaluate(trials(), narrow, repeats=2)
    assert found.trials == 60 - outside and f"{outside} trials" in found.left_out


def test_errors_say_what_is_missing() -> None:
    with pytest.raises(UsageError, match=r"^9 complete trials .* it takes 10"):
        importance.evaluate(trials(9), SPACE)
    with pytest.raises(UsageError, match="all 12 trials have the same loss"):
        importance.evaluate([told(each.params, [1.0]) for each in trials(12)], SPACE)
    with pytest.raises(UsageError, match="did you mean 'fanova'"):
        importance.evaluate(trials(), SPACE, evaluator="fanvoa")
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        importance.evaluate(trials(), SPACE, "acuracy")
    many = Space({"many": {"choice": list(range(35))}}).parameters()
    with pytest.raises(UsageError, match="35 alternatives of many"):
        importance.evaluate(
            [told({"many": k}, [float(k)]) for k in range(35)], many, evaluator="fanova"
        )
    with pytest.raises(UsageError, match=r"^0 complete trials"):
        importance.evaluate([], SPACE)


def test_the_commands(
    tmp_path: Path,
    empty_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(empty_database, tmp_path / "hpo.db")
    engine = database.open_or_create(f"sqlite:///{tmp_path}/hpo.db")
    made = []
    for number in range(40):
        lr = 10 ** (number / 40 * 3 - 3)
        scheduler = ("cosine", "step", "constant")[number % 3]
        made.append(Told(scheduler, number % 8, [0.2, 0.5 - lr / 3], lr=lr))
    store(engine, "shoot", made)
    engine.dispose()

    def hpo(*words: str) -> str:
        storage = f"sqlite:///{tmp_path}/hpo.db"
        monkeypatch.setattr(sys, "argv", ["hpo", *words, "--storage", storage])
        with pytest.raises(SystemExit) as caught:
            main.main()
        assert not caught.value.code
        return capsys.readouterr().out

    first = json.loads(hpo("importance", "shoot", "--json", "--repeats", "10"))
    assert first["parameters"][0]["parameter"] == "optimizer.lr"
    assert set(first) >= {"study", "metric", "evaluator", "trials", "left_out"}
    table = hpo("importance", "shoot", "--repeats", "10").splitlines()
    assert table[0] == "ped-anova of val_accuracy over 40 complete trials of shoot"
    assert table[2].startswith("optimizer.lr")
    said = json.loads(hpo("recommend", "shoot", "--json"))
    edge = next(each for each in said["findings"] if each["rule"] == "range-edge")
    text = "objective.optimizer.lr: {float: [0.0001, 1.0], log: true}"
    assert edge["edits"][0]["text"] == text
    assert f"  edit: {text}" in hpo("recommend", "shoot")
