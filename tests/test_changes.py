"""What differs between two study files, and which differences leave earlier trials their meaning."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_core.changes import Change, changes

NESTED = {"choice": ["adam", {"name": "sgd", "lr": {"float": [0.1, 1.0], "log": True}}]}


def only(before: Any, after: Any) -> Change:
    """The one difference."""
    (found,) = changes({"a": before}, {"a": after})
    return found


@pytest.mark.parametrize(
    "tree", [1, "x", None, {"float": [0, 1]}, NESTED, {"b": [1, {"c": 2}]}, [1, [2]]]
)
def test_what_is_the_same_does_not_differ(tree: Any) -> None:
    assert list(changes({"a": tree}, {"a": tree})) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"float": [0, 1]}, {"float": [0.5, 1]}),
        ({"float": [0, 1]}, {"float": [-1, 9]}),
        ({"float": [0, 1]}, {"float": [5, 6]}),
        ({"float": [1, 2], "log": True}, {"float": [1, 3], "log": True}),
        ({"float": [1, 2], "log": False}, {"float": [1, 3]}),
        ({"float": [1, 2], "step": 0.5}, {"float": [1, 3], "step": 0.5}),
        ({"int": [1, 4]}, {"int": [1, 8]}),
        ({"choice": [1, 2]}, {"choice": [1, 2, 3]}),
        ({"choice": [1, 2]}, {"choice": [3, 2, 1]}),
        ({"choice": [1, 2]}, {"choice": [2, 1]}),
    ],
)
def test_ranges_and_further_alternatives_are_harmless(before: Any, after: Any) -> None:
    found = only(before, after)
    assert found.harmless and found.path == "a"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"float": [1, 2]}, {"float": [1, 2], "log": True}),
        ({"float": [1, 2], "step": 0.5}, {"float": [1, 2]}),
        ({"float": [1, 2], "step": 0.5}, {"float": [1, 2], "step": 0.25}),
        ({"float": [1, 2]}, {"int": [1, 2]}),
        ({"int": [1, 2]}, {"choice": [1, 2]}),
        ({"choice": [1, 2]}, {"choice": [1]}),
        ({"choice": [1, 2]}, {"choice": [1, 3]}),
        ({"float": [1, 2]}, 1.5),
        (1.5, {"float": [1, 2]}),
        (1, 2),
        (1, None),
        ([1, 2], [1, 2, 3]),
    ],
)
def test_anything_else_is_not(before: Any, after: Any) -> None:
    assert not only(before, after).harmless


def test_an_option_that_comes_or_goes_is_a_change() -> None:
    assert only({"b": 1}, {"b": 1, "c": 2}) == Change("a.c", None, 2, harmless=False)
    assert only({"b": 1, "c": 2}, {"b": 1}) == Change("a.c", 2, None, harmless=False)


def test_every_change_is_found_in_the_order_of_the_file() -> None:
    before = {"x": {"float": [0, 1]}, "y": 1, "z": {"b": {"int": [1, 2]}}}
    after = {"z": {"b": {"int": [1, 3]}}, "y": 2, "x": {"float": [0, 2]}, "w": 0}
    found = list(changes(before, after))
    assert [(each.path, each.harmless) for each in found] == [
        ("x", True),
        ("y", False),
        ("z.b", True),
        ("w", False),
    ]
    assert str(found[0]) == 'x: {"float": [0, 1]} became {"float": [0, 2]}'


def test_inside_an_alternative() -> None:
    wider = {"choice": ["adam", {"name": "sgd", "lr": {"float": [0.1, 2.0], "log": True}}]}
    fixed = {"choice": ["adam", {"name": "sgd", "lr": 0.5}]}
    assert (only(NESTED, wider).path, only(NESTED, wider).harmless) == ("a.sgd.lr", True)
    assert (only(NESTED, fixed).path, only(NESTED, fixed).harmless) == ("a.sgd.lr", False)
    further = {"choice": [*wider["choice"], "lion"]}
    assert [(each.path, each.harmless) for each in changes({"a": NESTED}, {"a": further})] == [
        ("a", True),
        ("a.sgd.lr", True),
    ]
