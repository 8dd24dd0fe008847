"""The JSON Schema of a study file: what `hpo validate` takes, it takes; what is plainly wrong, it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field
from toys import toy_catalog

from hpo_core import plugins
from hpo_core.catalog import Catalog, Entry
from hpo_core.errors import StudyFileError
from hpo_core.schema import study_schema
from hpo_core.searched_schema import searched
from hpo_core.spec import check
from hpo_core.yaml_source import parse

STUDIES = Path(__file__).parents[1] / "studies"

HEAD = "study: a\nmetric: {name: acc, goal: maximize}\nbudget: {trials: 3}\n"

GOOD = [
    "objective: toy",
    "objective: {name: toy, epochs: 3}",
    "objective: {name: toy, epochs: {int: [3, 9], step: 3}}",
    "objective: {name: toy, model: {choice: [small, zoo/ant, {name: zoo/bee, width: 3}]}}",
    "objective: {name: toy, model: {name: zoo/cat, width: {int: [1, 64], log: true}}}",
    "objective: {name: toy, optimizer: {name: sgd, lr: {float: [1e-4, 1], log: true}}}",
    "objective: {name: toy, optimizer: {name: sgd, lr: {choice: [0.1, {float: [0.2, 1]}]}}}",
    "objective: {name: toy, optimizer: {name: adamw, lr: {int: [1, 3]}}}",
    "objective: {name: toy, lr_scheduler: null}",
    "objective: {name: toy, betas: [0.9, {float: [0.9, 0.99]}]}",
    "objective: {name: toy, betas: {choice: [[0.9, 0.99], [0.8, 0.9]]}}",
    "objective: {name: toy, precision: {choice: [null, '16']}}",
    "objective: {name: toy, notes: {a: 1, b: {int: [1, 2]}}}",
    "objective: {name: needy, call: 'module:function'}",
    "objective: toy\nx-notes: [1]",
    "objective: toy\nsampler: {name: tpe, startup: 3}\ntrackers: [csv, {name: csv}]",
    "objective: toy\ntrial_scheduler: {name: every, of: [asha, none]}",
    "objective: toy\ntrial_scheduler: {every: [asha, {every: [{name: asha, min_epochs: 2}]}]}",
    "objective: toy\nexecutor: {name: processes, workers: null}\nregister: {best_as: m}",
    "objective: {name: toy, model: 'hpo-left:twin'}",
]

BAD = [
    "objective: {name: toy, epochs: 0}",
    "objective: {name: toy, epochs: '3'}",
    "objective: {name: toy, epoch: 3}",
    "objective: {name: toy, epochs: {int: [0, 3]}}",
    "objective: {name: toy, epochs: {int: [1]}}",
    "objective: {name: toy, epochs: {int: [1, 2.5]}}",
    "objective: {name: toy, epochs: {int: [1, 9], setp: 2}}",
    "objective: {name: toy, epochs: {choice: []}}",
    "objective: {name: toy, epochs: {choice: [1, 0]}}",
    "objective: {name: toy, model: {name: zoo/dog}}",
    "objective: {name: toy, model: {name: zoo/ant, name_in_zoo: bee}}",
    "objective: {name: toy, model: broken}",
    "objective: {name: toy, model: {float: [0, 1]}}",
    "objective: {name: toy, model: null}",
    "objective: {name: toy, optimizer: {name: adamw, momentum: 0.9}}",
    "objective: {name: toy, precision: '64'}",
    "objective: {name: toy, betas: [0.9]}",
    "objective: needy",
    "objective: undeclared",
    "objective: toy\nsampler: {name: tpe, startup: {int: [1, 3]}}",
    "objective: toy\nsampler: {choice: [tpe, random]}",
    "objective: toy\ntrackers: csv",
    "objective: toy\ntrial_scheduler: every",
    "objective: toy\ntrial_scheduler: {every: asha}",
    "objective: toy\ntrial_scheduler: {every: [{name: asha, min_epochs: 0}]}",
    "objective: toy\ntrial_scheduler: {every: [asha], of: [none]}",
    "objective: toy\ntrial_scheduler: {asha: []}",
    "objective: toy\nsede: 3",
    "objective: toy\nseed: -1",
    "objective: {name: toy, model: twin}",
    "sampler: tpe",
]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return study_schema(toy_catalog())


def _valid(schema: dict[str, Any], text: str) -> bool:
    return Draft202012Validator(schema).is_valid(parse(HEAD + text, "s.yaml").data)


def _checked(text: str) -> bool:
    try:
        check(parse(HEAD + text, "s.yaml"), toy_catalog(), Path("s.yaml"))
    except StudyFileError:
        return False
    return True


def test_the_schema_is_a_schema_and_json(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema


@pytest.mark.parametrize("text", GOOD)
def test_the_schema_takes_what_the_check_takes(text: str, schema: dict[str, Any]) -> None:
    assert _checked(text)
    assert _valid(schema, text)


@pytest.mark.parametrize("text", BAD)
def test_the_schema_refuses_what_is_plainly_wrong(text: str, schema: dict[str, Any]) -> None:
    assert not _checked(text)
    assert not _valid(schema, text)


def test_components_of_one_factory_share_one_object(schema: dict[str, Any]) -> None:
    models = schema["$defs"]["searched.models"]["anyOf"]
    names = [
        part["properties"]["name"]["enum"]
        for part in models
        if "name" in part.get("properties", {})
    ]
    assert ["zoo/ant", "zoo/bee", "zoo/cat"] in names


def test_descriptions_defaults_and_bounds_are_those_of_the_signature(
    schema: dict[str, Any],
) -> None:
    optimizers = schema["$defs"]["searched.optimizers"]["anyOf"]
    (sgd,) = [
        part
        for part in optimizers
        if part.get("properties", {}).get("name", {}).get("enum") == ["sgd"]
    ]
    lr = sgd["properties"]["lr"]
    assert sgd["description"] == "Stochastic gradient descent."
    assert (lr["description"], lr["default"]) == ("Step size.", 0.1)
    value = schema["$defs"][lr["$ref"].removeprefix("#/$defs/")]
    assert value["anyOf"][0] == {"type": "number", "exclusiveMinimum": 0, "maximum": 100}


def test_options_that_take_the_same_share_one_object() -> None:
    """Hundreds of optimizers have such an `lr`: what each way to search it looks like is said once."""

    def slow(
        params: Any,
        *,
        lr: Annotated[float, Field(gt=0, le=100, description="Slower.")] = 0.01,
    ) -> None: ...

    catalog = toy_catalog()
    catalog.add(Entry("optimizers", "slow", slow, "tests", "tests"))
    rates = {
        part["properties"]["name"]["enum"][0]: part["properties"]["lr"]
        for part in study_schema(catalog)["$defs"]["searched.optimizers"]["anyOf"]
        if "lr" in part.get("properties", {})
    }
    assert rates["slow"]["$ref"] == rates["sgd"]["$ref"]
    assert (rates["slow"]["description"], rates["slow"]["default"]) == ("Slower.", 0.01)


def test_a_kind_that_nobody_offers_allows_nothing() -> None:
    schema = study_schema(Catalog())
    Draft202012Validator.check_schema(schema)
    assert not _valid(schema, "objective: toy")


def test_what_has_no_type_of_number_takes_no_range() -> None:
    kinds = [set(part.get("properties", {})) for part in searched({"type": "string"})["anyOf"]]
    assert kinds == [set(), {"choice"}]


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_studies_of_this_repository_fit_the_schema_of_what_is_installed(path: Path) -> None:
    schema = study_schema(plugins.load()[0])
    source = parse(path.read_text(encoding="utf-8"), path.name)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(source.data)] == []
