"""Tiers: `model: {tier: 1}` is the choice of all models of tier 1, made when the study is checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field
from toys import plain, toy_catalog
from typer.testing import CliRunner

from hpo_core import Float, plugins
from hpo_core.catalog import Catalog, Entry
from hpo_core.cli import catalog_commands
from hpo_core.cli.main import app
from hpo_core.errors import StudyFileError
from hpo_core.schema import study_schema
from hpo_core.spec import check
from hpo_core.yaml_source import parse

HEAD = "study: a\nmetric: {name: acc, goal: maximize}\nbudget: {trials: 3}\n"


def wide(
    shape: Any, *, width: Annotated[int, Field(ge=1, le=64)] = 8, depth: Annotated[int, Field()] = 2
) -> None:
    """A model with two options."""


def ranged(
    shape: Any, *, width: Annotated[int, Field(ge=1)] = 4, drop: Annotated[float, Float(0, 0.5)] = 0
) -> None:
    """A model with a range to search."""


def _catalog() -> Catalog:
    catalog = toy_catalog()
    offers: list[tuple[str, Any, int]] = [
        ("wide", wide, 1),
        ("ranged", ranged, 1),
        ("bare", plain, 2),
        ("other", plain, 2),
        ("gone", "no_such_module_at_all:x", 3),
        ("strict", wide, 4),
    ]
    for name, factory, tier in offers:
        catalog.add(Entry("models", name, factory, "toys", "hpo-toys", tier))
    for distribution in ("left", "right"):
        catalog.add(Entry("models", "double", plain, distribution, distribution, 5))
    return catalog


CATALOG = _catalog()
SCHEMA = study_schema(CATALOG)


def _text(model: str) -> str:
    return f"{HEAD}objective:\n  name: toy\n  model: {model}\n"


def _model(model: str) -> Any:
    return check(parse(_text(model), "s.yaml"), CATALOG, Path("s.yaml")).objective["model"]


def _fits_schema(model: str) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(parse(_text(model), "s.yaml").data)


GOOD = {
    "{tier: 2}": [{"name": "bare"}, {"name": "other"}],
    "{tier: 1}": [
        {"name": "ranged", "width": 4, "drop": 0},
        {"name": "wide", "width": 8, "depth": 2},
    ],
    "{tier: 1, width: {int: [2, 9]}}": [
        {"name": "ranged", "width": {"int": [2, 9]}, "drop": 0},
        {"name": "wide", "width": {"int": [2, 9]}, "depth": 2},
    ],
    "{tier: 1, search: true}": [
        {"name": "ranged", "width": 4, "drop": {"float": [0, 0.5]}},
        {"name": "wide", "width": 8, "depth": 2},
    ],
    "{choice: [small, {tier: 2}, {name: wide, width: 3}]}": [
        {"name": "small"},
        {"name": "bare"},
        {"name": "other"},
        {"name": "wide", "width": 3, "depth": 2},
    ],
}


@pytest.mark.parametrize("model", GOOD)
def test_a_tier_is_the_choice_of_its_components_with_the_options_given_to_each(model: str) -> None:
    assert _model(model) == {"choice": GOOD[model]}
    assert _fits_schema(model)


BAD = {
    "{tier: 7}": "s.yaml:6:11: objective.model.tier: no model is of tier 7: there are the tiers 1, 2, 3, 4, 5",
    "{tier: one}": "s.yaml:6:11: objective.model.tier: a tier is a whole number, got 'one'",
    "{tier: true}": "a tier is a whole number, got True",
    "{tier: 2, width: 3}": "s.yaml:6:20: objective.model.width: the model 'bare' has no option 'width'",
    "{tier: 1, depth: 3}": "the model 'ranged' has no option 'depth'",
    "{tier: 1, width: 65}": "input should be less than or equal to 64, got 65",
    "{tier: 2, search: true}": "the model 'bare' suggests no range to search",
    "{tier: 1, search: maybe}": "search is true or false, got 'maybe'",
    "{tier: 3}": "cannot import no_such_module_at_all:x",
    "{tier: 5}": "is offered by 'left:double' and 'right:double'",
}


@pytest.mark.parametrize("model", BAD)
def test_what_a_tier_cannot_be_is_said_once_and_at_its_place(model: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        _model(model)
    assert BAD[model] in str(caught.value)
    assert len(caught.value.problems) == 1
    assert not _fits_schema(model)


def test_what_is_in_a_choice_twice_by_its_tier_is_refused() -> None:
    with pytest.raises(StudyFileError, match="alternative 'bare' is listed twice"):
        _model("{choice: [{tier: 2}, bare]}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("objective: toy\nsampler: {tier: 1}", "no sampler is of tier 1: none has a tier"),
        (
            "objective: {name: toy, model: {name: zoo/ant, tier: 1}}",
            "the model 'zoo/ant' has no option 'tier'",
        ),
        ("objective: {choice: [toy]}", "options of the objective can be searched, not it itself"),
        ("objective: {tier: 1}", "options of the objective can be searched, not it itself"),
    ],
)
def test_where_nothing_can_be_searched_no_tier_is_taken(text: str, said: str) -> None:
    with pytest.raises(StudyFileError, match=said):
        check(parse(HEAD + text, "s.yaml"), CATALOG, Path("s.yaml"))
    assert not Draft202012Validator(SCHEMA).is_valid(parse(HEAD + text, "s.yaml").data)


def test_a_tier_of_what_runs_the_study_is_a_choice_and_so_refused() -> None:
    catalog = toy_catalog()
    catalog.add(Entry("samplers", "early", plain, "toys", "hpo-toys", 1))
    with pytest.raises(StudyFileError, match="a tier is a choice"):
        check(parse(f"{HEAD}objective: toy\nsampler: {{tier: 1}}", "s"), catalog, Path("s"))


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_commands, "load_enabled", lambda: (CATALOG, []))


@pytest.mark.usefixtures("listed")
def test_hpo_list_shows_tiers_and_filters_by_them() -> None:
    """Another name of a component with a tier, as `small` is of `bare`, has it too, and is in no choice for that."""
    told = CliRunner().invoke(app, ["list", "models", "--tier", "2", "--json"])
    found = [(entry["name"], entry["tier"]) for entry in json.loads(told.stdout)]
    assert found == [("bare", 2), ("other", 2), ("small", 2)]
    assert CATALOG.tiers("models")[2] == ["bare", "other"]
    rows = CliRunner().invoke(app, ["list", "models"]).stdout.splitlines()
    assert rows[0].split()[:2] == ["name", "tier"]
    assert any(row.split()[:2] == ["bare", "2"] for row in rows)
    assert any(row.split()[:2] == ["zoo/ant", "-"] for row in rows)
    assert CliRunner().invoke(app, ["list", "samplers"]).stdout.split()[:2] == ["name", "plugin"]


@pytest.mark.usefixtures("listed")
def test_hpo_list_names_the_tiers_that_there_are() -> None:
    error = CliRunner().invoke(app, ["list", "models", "--tier", "9"]).exception
    assert str(error) == "no model is of tier 9: there are the tiers 1, 2, 3, 4, 5"


@pytest.mark.parametrize("tier", [0, True, "1", 1.5])
def test_a_plugin_whose_tier_is_none_is_kept_out(tier: Any) -> None:
    entries: list[Entry] = []
    plugin = plugins.Plugin("toys", "hpo-toys", "1", "toys")
    register = plugins._register("models", plugin, entries)
    register("net", plain, tier=3)
    register("nets", plain)
    assert [entry.tier for entry in entries] == [3, None]
    with pytest.raises(ValueError, match="the tier of 'net' is a whole number from 1, not"):
        register("net", plain, tier=tier)
