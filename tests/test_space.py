"""Search spaces: what is a distribution, what makes sense, and how a tree is filled."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_core.space import Choice, DistributionError, Float, Int, Space, is_distribution, parse

numbers = st.floats(-1e6, 1e6, allow_nan=False)
scalars = st.none() | st.booleans() | st.integers(-9, 9) | numbers | st.text("abc.", max_size=5)
keys = st.sampled_from(["lr", "epochs", "model", "a", "b"])


def _floats(low: float, high: float) -> dict[str, Any]:
    return {"float": sorted([low, high])}


def _labelled(alternatives: list[Any]) -> dict[str, Any]:
    """A choice whose alternatives cannot have equal labels."""
    return {"choice": [{"name": f"n{index}", "x": item} for index, item in enumerate(alternatives)]}


distributions = (
    st.builds(_floats, numbers, numbers)
    | st.builds(
        lambda low, width: {"int": [low, low + width]}, st.integers(-99, 99), st.integers(0, 9)
    )
    | st.lists(st.integers(), min_size=1, max_size=4, unique=True).map(lambda xs: {"choice": xs})
)
trees = st.recursive(
    scalars | distributions,
    lambda inner: (
        st.dictionaries(keys, inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.lists(inner, min_size=1, max_size=3).map(_labelled)
    ),
    max_leaves=12,
)


def _first(path: str, distribution: Any) -> Any:
    return distribution.labels[0] if isinstance(distribution, Choice) else distribution.low


def _has_distribution(tree: Any) -> bool:
    if is_distribution(tree):
        return True
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return any(_has_distribution(item) for item in items)


@given(st.dictionaries(keys, trees, max_size=4))
def test_a_filled_tree_holds_no_distribution_and_asks_only_for_its_parameters(
    tree: dict[str, Any],
) -> None:
    asked: dict[str, Any] = {}

    def suggest(path: str, distribution: Any) -> Any:
        assert path not in asked
        asked[path] = distribution
        return _first(path, distribution)

    space = Space(tree)
    filled = space.fill(suggest)
    assert not _has_distribution(filled)
    assert filled.keys() == tree.keys()
    parameters = space.parameters()
    assert all(parameters[path] == distribution for path, distribution in asked.items())
    assert set(asked) == set(parameters) or space.conditional


@given(st.dictionaries(keys, scalars | st.lists(scalars, max_size=3)))
def test_a_tree_without_distributions_is_filled_with_itself(tree: dict[str, Any]) -> None:
    assert Space(tree).fill(_first) == tree
    assert Space(tree).parameters() == {}


@given(st.dictionaries(st.sampled_from(["float", "int", "choice", "log", "step", "x"]), trees))
def test_parsing_anything_gives_a_distribution_or_blames_a_place_in_it(
    tree: dict[str, Any],
) -> None:
    if not is_distribution(tree):
        return
    try:
        distribution = parse(tree)
    except DistributionError as error:
        place: Any = tree
        for key in error.path:
            place = place[key]
        return
    if not isinstance(distribution, Choice):
        assert distribution.low <= distribution.high


@pytest.mark.parametrize(
    ("tree", "distribution"),
    [
        ({"float": [0, 1]}, Float(0.0, 1.0)),
        ({"float": [1e-4, 1.0], "log": True}, Float(1e-4, 1.0, log=True)),
        ({"float": [0, 0.35], "step": 0.1}, Float(0.0, 0.3, step=0.1)),
        ({"int": [1, 8], "step": 3}, Int(1, 7, step=3)),
        ({"int": [1, 64], "log": True}, Int(1, 64, log=True)),
        ({"choice": ["a", None, 3]}, Choice(("a", None, 3))),
    ],
)
def test_a_distribution_is_what_it_says(tree: dict[str, Any], distribution: Any) -> None:
    assert parse(tree) == distribution


@pytest.mark.parametrize(
    ("tree", "path", "fragment"),
    [
        ({"float": [0, 1], "int": [0, 1]}, ("int",), "cannot be both float and int"),
        ({"float": [0, 1], "lgo": True}, ("lgo",), "only log and step"),
        ({"float": 1}, ("float",), "takes two bounds"),
        ({"float": [1]}, ("float",), "takes two bounds"),
        ({"float": ["a", 1]}, ("float", 0), "must be a number, got 'a'"),
        ({"float": [0, float("inf")]}, ("float", 1), "must be a number"),
        ({"float": [float("nan"), 1]}, ("float", 0), "must be a number"),
        ({"float": [True, 2]}, ("float", 0), "must be a number"),
        ({"int": [1, 2.5]}, ("int", 1), "a whole number, got 2.5"),
        ({"float": [2, 1]}, ("float", 0), "2 is above the high bound 1"),
        ({"float": [0, 1], "log": True}, ("float", 0), "must be above 0, got 0"),
        ({"float": [1, 2], "log": "yes"}, ("log",), "true or false, got 'yes'"),
        ({"float": [1, 2], "step": 0}, ("step",), "above 0, got 0"),
        ({"int": [1, 9], "step": 0.5}, ("step",), "a whole number above 0"),
        ({"float": [1, 2], "step": 3}, ("step",), "longer than the range 1"),
        ({"float": [1, 2], "step": 0.1, "log": True}, ("step",), "cannot be used together"),
        ({"float": [0, 1e300], "step": 1e-5}, ("step",), "too fine"),
        ({"choice": []}, ("choice",), "at least one alternative"),
        ({"choice": "a"}, ("choice",), "at least one alternative"),
        ({"choice": ["a"], "log": True}, ("log",), "a choice has no log"),
        ({"choice": ["a", "b", "a"]}, ("choice", 2), "'a' is listed twice"),
        ({"choice": [1, True]}, ("choice", 1), "True equals 1"),
        ({"choice": [{"name": "x", "y": 1}, "x"]}, ("choice", 1), "'x' is listed twice"),
        ({"choice": [float("nan")]}, ("choice", 0), "nan cannot be chosen"),
    ],
)
def test_nonsense_is_blamed_where_it_stands(tree: Any, path: Any, fragment: str) -> None:
    assert is_distribution(tree)
    with pytest.raises(DistributionError) as caught:
        parse(tree)
    assert caught.value.path == path
    assert fragment in str(caught.value)


def test_a_component_is_no_distribution() -> None:
    assert not is_distribution({"name": "x", "float": [0, 1]})
    assert not is_distribution({"log": True})
    assert not is_distribution("float")


def test_parameters_inside_an_alternative_are_asked_for_only_when_it_is_chosen() -> None:
    gamma = {"float": [0.1, 0.9]}
    space = Space({"sched": {"choice": ["constant", {"name": "step", "gamma": gamma}]}})
    assert list(space.parameters()) == ["sched", "sched.step.gamma"]
    assert space.conditional

    def choose(label: str) -> dict[str, Any]:
        return space.fill(lambda path, _: label if path == "sched" else 0.5)

    assert choose("constant") == {"sched": "constant"}
    assert choose("step") == {"sched": {"name": "step", "gamma": 0.5}}
    with pytest.raises(KeyError):
        choose("cosine")


def test_labels_of_lists_are_json() -> None:
    choice = parse({"choice": [[1, 2], [3]]})
    assert isinstance(choice, Choice)
    assert choice.labels == ("[1, 2]", "[3]")
    assert choice.alternative("[3]") == [3]
