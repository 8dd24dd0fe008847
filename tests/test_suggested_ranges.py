"""`search: true`: the ranges that a plugin suggests, from an annotation to the stored space, the schema, the text."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field
from toys import toy_catalog

from hpo_core import Choice, Float, Int
from hpo_core.catalog import Catalog, Entry
from hpo_core.checking import Checker
from hpo_core.cli.described import described_options, option_rows
from hpo_core.options import options_of
from hpo_core.schema import study_schema
from hpo_core.space import flow, parse, written


def wave(
    optimizer: Any,
    total_steps: int,
    *,
    low: Annotated[float, Field(ge=0, description="Low end."), Float(1e-4, 0.5, log=True)] = 0.1,
    count: Annotated[int, Field(ge=1, description="Waves."), Int(1, 9, step=2)] = 3,
    flat: Annotated[bool, Field(description="Without slopes."), Choice((False, True))] = False,
    first: Annotated[float, Field(description="Where it begins.")] = 0.0,
) -> None:
    """A wave."""


def greedy(optimizer: Any, total_steps: int, *, search: bool = False) -> None:
    """Has an option of its own by that name."""


LOW = {"float": [1e-4, 0.5], "log": True}
COUNT = {"int": [1, 9], "step": 2}
FLAT = {"choice": [False, True]}


@pytest.fixture
def catalog() -> Catalog:
    catalog = toy_catalog()
    for factory in (wave, greedy):
        catalog.add(Entry("lr_schedulers", factory.__name__, factory, "toys", "hpo-toys"))
    return catalog


def checked(catalog: Catalog, tree: Any, searchable: bool = True) -> tuple[Any, list[str]]:
    checker = Checker(catalog)
    full = checker.component("lr_schedulers", tree, ("lr",), searchable)
    return full, [f"{problem.path}: {problem.message}" for _, problem in checker.problems]


def test_it_stands_for_every_suggested_range(catalog: Catalog) -> None:
    full = {"name": "wave", "low": LOW, "count": COUNT, "flat": FLAT, "first": 0.0}
    assert checked(catalog, {"name": "wave", "search": True}) == (full, [])
    inside = {"choice": ["constant", {"name": "wave", "search": True}]}
    assert checked(catalog, inside) == ({"choice": [{"name": "constant"}, full]}, [])


def test_what_is_given_stays(catalog: Catalog) -> None:
    tree = {"name": "wave", "search": True, "low": 0.2, "count": {"int": [2, 3]}}
    full = {"name": "wave", "low": 0.2, "count": {"int": [2, 3]}, "flat": FLAT, "first": 0.0}
    assert checked(catalog, tree) == (full, [])


def test_without_it_nothing_is_searched(catalog: Catalog) -> None:
    plain = {"name": "wave", "low": 0.1, "count": 3, "flat": False, "first": 0.0}
    assert checked(catalog, "wave") == checked(catalog, {"name": "wave", "search": False})
    assert checked(catalog, "wave") == (plain, [])


@pytest.mark.parametrize(
    ("tree", "searchable", "problem"),
    [
        ({"name": "wave", "search": 1}, True, "lr.search: search is true or false, got 1"),
        ({"name": "wave", "search": True}, False, "only options of the objective"),
        ({"name": "constant", "search": True}, True, "'constant' suggests no range to search"),
    ],
)
def test_mistakes_are_named(catalog: Catalog, tree: Any, searchable: bool, problem: str) -> None:
    [found] = checked(catalog, tree, searchable)[1]
    assert found.startswith("lr.search: ") and problem in found


def test_an_option_of_that_name_is_the_plugins(catalog: Catalog) -> None:
    tree = {"name": "greedy", "search": True}
    assert checked(catalog, tree) == (tree, [])


def test_editors_know_it(catalog: Catalog) -> None:
    validator = Draft202012Validator(study_schema(catalog))
    study: dict[str, Any] = {
        "study": "s",
        "metric": {"name": "loss", "goal": "minimize"},
        "budget": {"trials": 1},
        "sampler": "random",
    }

    def fine(lr_scheduler: Any) -> bool:
        objective = {"name": "toy", "lr_scheduler": lr_scheduler}
        return bool(validator.is_valid({**study, "objective": objective}))

    assert fine({"name": "wave", "search": True})
    assert not fine({"name": "wave", "search": "yes"})
    assert not fine({"name": "constant", "search": True})


@pytest.mark.parametrize(
    "distribution",
    [Float(0, 1), Float(1e-3, 1, log=True), Float(0, 1, step=0.25), Int(1, 9), Choice((1, "a"))],
)
def test_what_is_written_is_read(distribution: Any) -> None:
    assert parse(json.loads(json.dumps(written(distribution)))) == distribution


def test_people_see_it() -> None:
    head, low, *_ = option_rows(described_options(wave))
    assert "to search" in head and flow(LOW) in low
    assert flow(LOW) == "{float: [0.0001, 0.5], log: true}"
    assert {option.name for option in options_of(wave).values() if option.range} == {
        "low",
        "count",
        "flat",
    }
