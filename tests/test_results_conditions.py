"""What conditions on trials mean, and what is said of those that mean nothing."""

from __future__ import annotations

import pytest

from hpo_core.errors import UsageError
from hpo_core.results.conditions import parse
from hpo_core.results.trials import ResultTrial


def trial(number: int, accuracy: float | None, **options: object) -> ResultTrial:
    metrics = {} if accuracy is None else {"val_accuracy": accuracy, "val/acc-top 5": 1.0}
    return ResultTrial(
        study="s",
        metric="val_accuracy",
        goal="maximize",
        number=number,
        state="complete",
        value=accuracy,
        best_step=1,
        epochs=1,
        attempt=1,
        seconds=None,
        reason="",
        params={},
        options=options,
        metrics=metrics,
        curves={name: {1: value} for name, value in metrics.items()},
    )


TRIALS = [
    trial(0, 0.95, model="resnet18", **{"optimizer.lr": 0.1, "nesterov": True, "x.gamma": 1}),
    trial(1, 0.80, model="resnet34", **{"optimizer.lr": 0.01, "nesterov": False, "y.gamma": 2}),
    trial(2, None, model=None, **{"optimizer.lr": 1e-3}),
    trial(3, 0.60, model="vit's", **{"optimizer.lr": 1}),
]


def chosen(condition: str) -> list[int]:
    test = parse(condition, TRIALS)
    return [each.number for each in TRIALS if test(each)]


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("val_accuracy > .9", [0]),
        ("metrics.val_accuracy >= 0.8 and params.model = 'resnet34'", [1]),
        ("val_accuracy>.9 AND lr<0.2", [0]),
        ("lr < 1.5e-2", [1, 2]),
        ("optimizer.lr = 1", [3]),
        ("attributes.number != 1", [0, 2, 3]),
        ("number < -1", []),
        ("model in ('resnet18', \"vit's\")", [0, 3]),
        ("model not in ('resnet18')", [1, 3]),  # what is missing fulfils nothing
        ("model != 'resnet18'", [1, 3]),
        ("model like 'resnet%'", [0, 1]),
        ("model like 'resnet_8'", [0]),
        ("model like 'resnet.8'", []),
        ("nesterov = true", [0]),
        ("nesterov = 1", []),
        ("lr = true", []),
        ("number = 0 or number = 1 and val_accuracy > .9", [0]),
        ("(number = 0 or number = 1) and val_accuracy < .9", [1]),
        ("((number = 3))", [3]),
        ("`val/acc-top 5` = 1 and state == 'complete'", [0, 1, 3]),
        ("study = 's; DROP TABLE trials'", []),
    ],
)
def test_what_a_condition_means(condition: str, expected: list[int]) -> None:
    assert chosen(condition) == expected


@pytest.mark.parametrize(
    "condition, said",
    [
        ("val_acuracy > 1", "no trial has a 'val_acuracy' - did you mean 'val_accuracy'?"),
        ("momentum > 1", "no trial has a 'momentum'"),
        ("gamma > 1", "'gamma' could be x.gamma, y.gamma: name one of them in full"),
        ("lr >", "column 5: expected a number, a text in quotes, true or false, found the end"),
        ("lr > optimizer.lr", "column 6: expected a number"),
        ("lr > 1 number < 2", "column 8: expected and, or, or the end, found 'number'"),
        ("(lr > 1", "column 8: expected ')', found the end"),
        ("lr", "column 3: expected one of = != < <= > >= in like, found the end"),
        ("model not 'x'", "column 11: expected in"),
        ("", "column 1: expected a name, found the end"),
        ("1 < lr", "column 1: expected a name, found '1'"),
        ("lr > 1; import os", "column 7: cannot read '; import os'"),
        ("__import__('os') = 1", "no trial has a '__import__'"),
        ("model > 3", "column 1: model is 'resnet18', say: it cannot be compared with 3"),
        ("lr < 'a'", "lr is 0.1, say: it cannot be compared with 'a'"),
        ("lr > 1e", "column 6: cannot read '1e'"),
    ],
)
def test_what_is_said_of_a_condition_that_means_nothing(condition: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(condition, TRIALS)
    assert said in str(caught.value)
