"""Profiles: trials that a study begins with, set by what the components say that they do well with."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field

from hpo_core import Component, Event, Kind, Run, replay
from hpo_core.catalog import Catalog
from hpo_core.cli.preview import preview
from hpo_core.errors import PluginError
from hpo_core.profiles import Profile, profiles
from hpo_core.spec import StudySpec, check
from hpo_core.storage import database, reading, studies
from hpo_core.yaml_source import parse

Offer = Callable[[str, str, Any], None]
RunStudy = Callable[..., list[Event]]


def train(
    run: Run,
    *,
    model: Annotated[Component, Kind("models")],
    optimizer: Annotated[Component, Kind("optimizers")] = Component("sgd"),
    epochs: Annotated[int, Field(ge=1)] = 2,
    bits: Literal[16, 32] = 32,
) -> None:
    """An objective."""
    for epoch in range(1, epochs + 1):
        run.report(epoch, {"loss": optimizer.options["lr"] / epoch})


def plain_model(shape: Any, *, width: int = 8) -> None:
    """A model without a profile."""


def deep(shape: Any, *, depth: int = 3) -> None:
    """A model with one."""


def wide(shape: Any, *, backbone: Annotated[Component, Kind("models")] = Component("deep")) -> None:
    """A model with one, around another."""


def sgd(params: Any, *, lr: float = 0.1, momentum: float = 0.9) -> None:
    """An optimizer."""


def adam(params: Any, *, lr: float = 0.1) -> None:
    """Another one."""


def each_once(context: Any) -> Any:
    """A sampler that ends by itself."""
    import optuna

    return optuna.samplers.RandomSampler(seed=context.seed)


deep.profile = {"optimizer.sgd.lr": 0.5, "optimizer": "sgd", "model.deep.depth": 5, "epochs": 2}  # type: ignore[attr-defined]
wide.profile = {"optimizer.adam.lr": 0.25}  # type: ignore[attr-defined]
each_once.exhaustive = True  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def toys(offer: Offer) -> None:
    for kind, name, factory in (
        ("objectives", "train", train),
        ("models", "plain", plain_model),
        ("models", "deep", deep),
        ("models", "v1.wide", wide),  # as those of timm, its name has a dot
        ("optimizers", "sgd", sgd),
        ("optimizers", "adam", adam),
        ("samplers", "each-once", each_once),
    ):
        offer(kind, name, factory)


@pytest.fixture
def study(catalog: Catalog, tmp_path: Path, empty_database: Path) -> Callable[..., StudySpec]:
    """A checked study of `train` with some options."""
    (tmp_path / "hpo.db").write_bytes(empty_database.read_bytes())

    def make(options: str, trials: int = 6, more: str = "sampler: random") -> StudySpec:
        text = (
            f"study: a\nmetric: {{name: loss, goal: minimize}}\nbudget: {{trials: {trials}}}\nseed: 1\n"
            f"objective: {{name: train, {options}}}\nstorage: sqlite:///{tmp_path}/hpo.db\n"
            f"directory: {tmp_path}/runs\n{more}\n"
        )
        return check(parse(text, "s.yaml"), catalog, tmp_path / "s.yaml")

    return make


MODELS = "model: {choice: [plain, {name: deep, depth: {int: [1, 9]}}, v1.wide]}"
OPTIMIZERS = (
    "optimizer: {choice: [{name: sgd, lr: {float: [0, 1]}}, {name: adam, lr: {float: [0, 1]}}]}"
)


def _params(spec: StudySpec, catalog: Catalog) -> list[Mapping[str, Any]]:
    return [profile.params for profile in profiles(spec, catalog)[0]]


def test_each_alternative_with_a_profile_gets_a_trial(
    study: Callable[..., StudySpec], catalog: Catalog
) -> None:
    found, why = profiles(study(f"{MODELS}, {OPTIMIZERS}"), catalog)
    deep_one = {"model": "deep", "model.deep.depth": 5, "optimizer": "sgd", "optimizer.sgd.lr": 0.5}
    wide_one = {"model": "v1.wide", "optimizer": "adam", "optimizer.adam.lr": 0.25}
    assert found[:2] == [Profile("model 'deep'", deep_one), Profile("model 'v1.wide'", wide_one)]
    assert [each.component for each in found[2:]] == ["model 'deep'"]  # the backbone of wide
    assert found[2].params == {"model": "v1.wide", "optimizer": "sgd", "optimizer.sgd.lr": 0.5}
    assert found[2].left_out == ["model.deep.depth: model is 'v1.wide' in this trial"]
    assert why is None


def test_what_the_file_names_itself_is_no_parameter(
    study: Callable[..., StudySpec], catalog: Catalog
) -> None:
    named = study(
        "model: {name: deep, depth: {int: [1, 9]}}, optimizer: {name: sgd, lr: {float: [0, 1]}}"
    )
    assert _params(named, catalog) == [{"model.depth": 5, "optimizer.lr": 0.5}]
    assert profiles(named, catalog)[0][0].left_out == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("optimizer: {name: adam, lr: {float: [0, 1]}}", "optimizer: is 'adam' in this study"),
        ("optimizer: {name: adam}", "optimizer.sgd.lr: optimizer is 'adam' in this study"),
        ("optimizer: {name: sgd, lr: 0.1}", "optimizer.sgd.lr: is 0.1 in this study"),
        (
            "optimizer: {name: sgd, lr: {float: [0, 0.1]}}",
            "optimizer.sgd.lr: 0.5 is not in 0.0..0.1",
        ),
        (
            "optimizer: {name: sgd, lr: {float: [0.1, 0.7], step: 0.3}}",
            "optimizer.sgd.lr: 0.5 is not on the grid of step 0.3",
        ),
        (
            "optimizer: {name: sgd, lr: {choice: [0.1, 0.2]}}",
            "optimizer.sgd.lr: 0.5 is none of the alternatives in this study",
        ),
        (
            "optimizer: {choice: [{name: adam}]}",
            "optimizer.sgd.lr: optimizer is never that in this study",
        ),
        ("epochs: {int: [3, 4]}", "epochs: 2 is not in 3..4"),
        ("epochs: 7", "epochs: is 7 in this study"),
    ],
)
def test_a_value_outside_the_space_is_left_out_and_it_is_said_why(
    options: str, said: str, study: Callable[..., StudySpec], catalog: Catalog
) -> None:
    spec = study(f"model: {{name: deep, depth: {{int: [1, 9]}}}}, {options}")
    (profile,), _ = profiles(spec, catalog)
    assert profile.params["model.depth"] == 5
    assert said in profile.left_out


def test_a_profile_that_sets_nothing_is_no_trial(
    study: Callable[..., StudySpec], catalog: Catalog
) -> None:
    assert (
        _params(study("model: deep, optimizer: {name: adam, lr: {float: [0, 1]}}"), catalog) == []
    )
    assert _params(study("model: plain"), catalog) == []


def test_one_that_contradicts_itself_keeps_what_comes_first(
    study: Callable[..., StudySpec], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        deep, "profile", {"optimizer": "adam", "optimizer.sgd.lr": 0.5, "model": "plain"}
    )
    (profile,) = [
        p
        for p in profiles(study(f"{MODELS}, {OPTIMIZERS}"), catalog)[0]
        if "deep" in p.component and p.params["model"] == "deep"
    ]
    assert profile.params == {"model": "deep", "optimizer": "adam"}
    assert profile.left_out == [
        "model: model is 'deep' in this trial",
        "optimizer.sgd.lr: optimizer is 'adam' in this trial",
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("bits", 16.5),
        ("bits", True),
        ("epochs", 2.5),
        ("epoch", 3),
        ("epochs.x", 3),
        ("optimizer.sgd.lr", "high"),
    ],
)
def test_a_value_of_another_type_is_left_out(
    path: str,
    value: Any,
    study: Callable[..., StudySpec],
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deep, "profile", {path: value, "model.deep.depth": 5})
    spec = study(
        f"model: {{name: deep, depth: {{int: [1, 9]}}}}, {OPTIMIZERS}, "
        "bits: {choice: [16, 32]}, epochs: {int: [1, 4]}"
    )
    (profile,), _ = profiles(spec, catalog)
    assert profile.params == {"model.depth": 5}
    assert [said.partition(":")[0] for said in profile.left_out] == [path]


def test_what_is_no_profile_blames_its_plugin(
    study: Callable[..., StudySpec], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deep, "profile", ["lr"])
    with pytest.raises(PluginError, match=r"profile of the model 'deep' .* is no mapping"):
        profiles(study("model: deep"), catalog)


def test_at_most_half_of_the_budget_is_profiles(
    study: Callable[..., StudySpec], catalog: Catalog
) -> None:
    def count(trials: int) -> tuple[int, str | None]:
        found, why = profiles(study(f"{MODELS}, {OPTIMIZERS}", trials), catalog)
        return len(found), why

    assert count(1) == (0, "0 of 3 profiles are half of the budget's trials")
    assert count(5) == (2, "2 of 3 profiles are half of the budget's trials")
    assert count(6) == (3, None)


def _origins(events: list[Event]) -> list[str]:
    return [each.data["origin"] for each in events if each.kind == "trial_started"]


def _started(events: list[Event]) -> list[Mapping[str, Any]]:
    return [each.data for each in events if each.kind == "trial_started"]


def _told(spec: StudySpec) -> list[Event]:
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    return list(reading.events(engine, record))


def _replays(spec: StudySpec, catalog: Catalog) -> bool:
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    result = replay.replay(engine, record, catalog)
    assert result.differences == []
    return result.proposals > 0


def test_profiles_run_first_and_the_sampler_proposes_the_rest(
    study: Callable[..., StudySpec], run: RunStudy, catalog: Catalog
) -> None:
    spec = study(f"{MODELS}, {OPTIMIZERS}, epochs: {{int: [1, 4]}}")
    events = run(spec)
    first, second, third, *others = _started(events)
    assert first["params"]["optimizer.sgd.lr"] == 0.5
    assert first["params"]["epochs"] == 2
    assert (
        second["params"] | {"model": "v1.wide", "optimizer": "adam", "optimizer.adam.lr": 0.25}
        == second["params"]
    )
    assert 1 <= second["params"]["epochs"] <= 4  # which its profile does not say
    assert [each["origin"] for each in (first, second, third)] == ["enqueued"] * 3
    assert first["reason"] == "the profile of the model 'deep'"
    assert [each["origin"] for each in others] == ["new"] * 3
    noted = [event.data for event in events if event.kind == "profile_enqueued"]
    assert [(each["number"], each["component"]) for each in noted] == [
        (0, "model 'deep'"),
        (1, "model 'v1.wide'"),
        (2, "model 'deep'"),
    ]
    assert _replays(spec, catalog)


def test_a_study_that_is_continued_enqueues_none_again(
    study: Callable[..., StudySpec], run: RunStudy, catalog: Catalog
) -> None:
    spec = study(f"{MODELS}, {OPTIMIZERS}")
    run(spec)
    run(spec, more=2)
    assert _origins(_told(spec)) == [*["enqueued"] * 3, *["new"] * 5]
    assert _replays(spec, catalog)


def test_profiles_can_be_switched_off(study: Callable[..., StudySpec], run: RunStudy) -> None:
    spec = study(f"{MODELS}, {OPTIMIZERS}", more="sampler: random\nprofiles: false")
    events = run(spec)
    assert _origins(events) == ["new"] * 6
    assert not [event for event in events if event.kind.startswith("profile")]


def test_before_a_sampler_that_tries_every_point_none_is_enqueued(
    study: Callable[..., StudySpec], run: RunStudy
) -> None:
    events = run(study(f"{MODELS}, {OPTIMIZERS}", more="sampler: each-once"))
    assert _origins(events) == ["new"] * 6
    (noted,) = [event.data for event in events if event.kind == "profiles_left_out"]
    assert noted["reason"] == "the sampler 'each-once' tries every point of the space anyway"


@pytest.mark.parametrize(
    "fault", ["ledger.write:1", "ledger.committed:1", "ledger.write:3", "ledger.committed:4"]
)
def test_a_driver_killed_at_its_beginning_leaves_them_enqueued_once(
    fault: str, study: Callable[..., StudySpec], run: RunStudy, catalog: Catalog
) -> None:
    spec = study(f"{MODELS}, {OPTIMIZERS}")
    child = os.fork()
    if child == 0:
        os.environ["HPO_FAULT"] = f"{fault}:kill"
        try:
            run(spec)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    run(spec)
    first = {e.trial: e.data for e in reversed(_told(spec)) if e.kind == "trial_started"}
    assert len(first) == 6
    assert [first[number]["origin"] for number in range(6)] == [*["enqueued"] * 3, *["new"] * 3]
    assert sum(event.kind == "profile_enqueued" for event in _told(spec)) == 3
    assert _replays(spec, catalog)


def test_the_dry_run_shows_them(
    study: Callable[..., StudySpec], catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    preview(study(MODELS, trials=1), catalog, json=True)
    assert "half of the budget" in json.loads(capsys.readouterr().out)["profiles"]["left_out"]
    preview(study(f"{MODELS}, {OPTIMIZERS}"), catalog, json=False)
    first = yaml.safe_load(capsys.readouterr().out)["profiles"]["first"]
    assert first[1]["component"] == "model 'v1.wide'"
    assert first[1]["params"]["optimizer.adam.lr"] == 0.25
