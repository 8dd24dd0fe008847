"""Options: what a signature declares, what a study may give for it, and what a factory is then called with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from hpo_core import Component, Kind, PluginError
from hpo_core.catalog import Catalog, Entry
from hpo_core.checking import Checker
from hpo_core.options import bind, keywords, options_of


class Classy:
    """A factory that is a class."""

    def __init__(self, *, size: int = 3) -> None:
        self.size = size


class Built:
    """A factory that is an object."""

    def __call__(self, *, size: int = 4) -> int:
        return size


def _build(
    optimizer: Any, *, gamma: Annotated[float, Field(gt=0, description="Decay.")], n: int = 1
) -> Any:
    return optimizer, gamma, n


def _nest(
    *positional: Any,
    inner: Annotated[Component, Kind("models")] = Component("leaf"),
    many: Annotated[list[Component], Kind("models")] = [],  # noqa: B006  # never changed
    pair: tuple[float, float] = (0.1, 0.2),
) -> Any:
    return positional, inner, many, pair


def _catalog(**factories: Callable[..., Any]) -> Catalog:
    catalog = Catalog()
    for name, factory in factories.items():
        catalog.add(Entry("models", name, factory, "toys", "toys"))
    return catalog


def test_the_signature_gives_name_default_and_description() -> None:
    options = options_of(_build)
    assert list(options) == ["gamma", "n"]
    assert options["gamma"].required
    assert options["gamma"].description == "Decay."
    assert (options["n"].required, options["n"].default) == (False, 1)


@pytest.mark.parametrize(
    ("factory", "names"),
    [
        (Classy, ["size"]),
        (Built(), ["size"]),
        (functools.partial(_build, n=2), ["gamma"]),
        (functools.partial(functools.partial(_build, n=2), gamma=0.5), []),
    ],
)
def test_factories_of_every_form_have_options(factory: Any, names: list[str]) -> None:
    assert list(options_of(factory)) == names


def test_a_factory_s_options_have_annotations() -> None:
    with pytest.raises(TypeError, match=r"option 'key' .* has no type annotation"):
        options_of(sorted)


def _problems(catalog: Catalog, tree: Any, searchable: bool = True) -> list[tuple[Any, str]]:
    checker = Checker(catalog)
    checker.component("models", tree, ("m",), searchable)
    return [(path, problem.message) for path, problem in checker.problems]


def test_a_checked_component_has_every_default_written_out() -> None:
    checker = Checker(_catalog(nest=_nest, leaf=Classy))
    assert checker.component("models", "nest", ("m",), searchable=True) == {
        "name": "nest",
        "inner": {"name": "leaf", "size": 3},
        "many": [],
        "pair": [0.1, 0.2],
    }
    assert checker.problems == []


def test_what_was_checked_is_what_the_factory_gets() -> None:
    catalog = _catalog(nest=_nest, leaf=Classy)
    given_ = {"name": "nest", "inner": {"name": "leaf", "size": 7}, "pair": [1, 2]}
    checked = Checker(catalog).component("models", given_, ("m",), searchable=False)
    positional, inner, many, pair = bind(catalog, "models", checked).build("shape")
    assert (positional, many, pair) == (("shape",), [], (1.0, 2.0))
    assert inner.name == "leaf"
    assert inner.build().size == 7


def test_a_list_of_components_is_bound_one_by_one() -> None:
    catalog = _catalog(nest=_nest, leaf=Classy)
    tree = {"name": "nest", "many": ["leaf", {"name": "leaf", "size": 5}]}
    checked = Checker(catalog).component("models", tree, ("m",), searchable=False)
    many = bind(catalog, "models", checked).build()[2]
    assert [component.build().size for component in many] == [3, 5]


def test_an_unbound_component_says_so() -> None:
    with pytest.raises(TypeError, match="not bound"):
        Component("leaf").build()


def test_a_config_of_another_version_of_a_plugin_is_refused() -> None:
    catalog = _catalog(leaf=Classy)
    with pytest.raises(PluginError, match="has no option 'depth'"):
        keywords(catalog, catalog.entry("models", "leaf"), {"depth": 1})


@pytest.mark.parametrize(
    ("tree", "path", "fragment"),
    [
        (3, ("m",), "the model is a name or a mapping with a name, got 3"),
        (None, ("m",), "the model is a name or a mapping"),
        ({"gamma": 1}, ("m",), "the model needs a name"),
        ({"name": 3}, ("m", "name"), "the model needs a name"),
        ({"name": "built", "gamma": 1.0}, ("m", "name"), "there is no model 'built'"),
        ("build", ("m",), "the model 'build' needs 'gamma'"),
        ({"name": "build", "gamma": 0}, ("m", "gamma"), "greater than 0, got 0"),
        ({"name": "build", "gamma": "x"}, ("m", "gamma"), "valid number, got 'x'"),
        ({"name": "build", "gamma": 1, "n": 1.5}, ("m", "n"), "got 1.5"),
        ({"name": "build", "gamma": 1, "n": True}, ("m", "n"), "got True"),
        ({"name": "build", "gamma": 1, "m": 2}, ("m", "m"), "has no option 'm'"),
        ({"name": "build", "gamma": {"float": [0, 1]}}, ("m", "gamma", "float", 0), "than 0"),
        ({"name": "build", "gamma": {"choice": [1, -1]}}, ("m", "gamma", "choice", 1), "than 0"),
        ({"name": "nest", "pair": [1]}, ("m", "pair", 1), "required"),
        ({"name": "nest", "pair": [1, {"float": [2, 1]}]}, ("m", "pair", 1, "float", 0), "above"),
        ({"name": "nest", "many": "leaf"}, ("m", "many"), "many is a list, got 'leaf'"),
        ({"name": "nest", "inner": {"float": [0, 1]}}, ("m", "inner"), "cannot be a number"),
        ({"choice": ["leaf", {"name": "leaf"}]}, ("m", "choice", 1), "listed twice"),
        ({"choice": ["leaf", {"name": "leef"}]}, ("m", "choice", 1, "name"), "no model 'leef'"),
    ],
)
def test_every_problem_is_blamed_on_its_place(tree: Any, path: Any, fragment: str) -> None:
    catalog = _catalog(build=_build, nest=_nest, leaf=Classy)
    ((where, message),) = _problems(catalog, tree)
    assert where == path
    assert fragment in message


def test_nothing_is_searched_where_it_may_not_be() -> None:
    catalog = _catalog(build=_build, nest=_nest, leaf=Classy)
    only = "only options of the objective can be searched"
    trees: list[Any] = [
        {"choice": ["leaf"]},
        {"name": "build", "gamma": {"float": [0.1, 1]}},
        {"name": "nest", "pair": [1, {"float": [0, 1]}]},
    ]
    for tree in trees:
        ((_, message),) = _problems(catalog, tree, searchable=False)
        assert message == only
        assert _problems(catalog, tree) == []


def test_all_problems_are_found_at_once() -> None:
    tree = {"name": "build", "gamma": -1, "n": "x", "k": 1}
    assert len(_problems(_catalog(build=_build), tree)) == 3


def test_a_factory_without_annotations_is_its_plugins_fault() -> None:
    def bad(*, gamma=1):  # type: ignore[no-untyped-def]  # the point of it
        return gamma

    checker = Checker(_catalog(bad=bad))
    checker.component("models", "bad", ("m",), searchable=False)
    ((_, problem),) = checker.problems
    assert problem.plugin
    assert "has no type annotation" in problem.message


json_trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text("ab1. ", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "gamma", "float", "int", "choice", "log", "step", "n"]), inner
        )
    ),
    max_leaves=10,
)


@given(json_trees, st.booleans())
def test_whatever_is_given_is_checked_or_blamed(tree: Any, searchable: bool) -> None:
    catalog = _catalog(build=_build, nest=_nest, leaf=Classy)
    for name in ("build", "nest", "leaf"):
        given_ = {"name": name, "gamma": tree, "pair": tree, "size": tree, "inner": tree}
        assert _problems(catalog, given_, searchable)  # each has an option that the others lack
    Checker(catalog).component("models", tree, ("m",), searchable)


@given(st.floats(min_value=0, exclude_min=True, allow_nan=False), st.integers(-9, 9))
def test_a_value_that_passes_the_check_can_be_built_with(gamma: float, n: int) -> None:
    catalog = _catalog(build=_build)
    tree = {"name": "build", "gamma": gamma, "n": n}
    checker = Checker(catalog)
    checked = checker.component("models", tree, ("m",), searchable=False)
    assert checker.problems == []
    assert bind(catalog, "models", checked).build(None) == (None, gamma, n)
