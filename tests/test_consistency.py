"""The `check` of an objective: it may refuse options that do not go together, at their place in the study file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest

from hpo_core import Component, Kind
from hpo_core.catalog import Catalog, Entry
from hpo_core.errors import StudyFileError
from hpo_core.spec import check
from hpo_core.yaml_source import parse

HEAD = """\
study: a
metric: {name: acc, goal: maximize}
budget: {trials: 3}
sampler: plain
trial_scheduler: plain
executor: plain
"""


def train(
    run: Any,
    *,
    dataset: Annotated[Component, Kind("datasets")] = Component("digits"),
    augmentations: Annotated[list[Component], Kind("augmentations")] = [],  # noqa: B006  # never changed
    epochs: int = 3,
) -> None:
    """An objective."""


def _refuse(
    tree: Mapping[str, Any], trait: Callable[[str, str, str], Any]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    fragile = trait("datasets", tree["dataset"]["name"], "fragile") or ()
    for index, augmentation in enumerate(tree["augmentations"]):
        for operation in trait("augmentations", augmentation["name"], "does"):
            if operation in fragile:
                yield ("augmentations", index), f"{operation} changes the labels"


def _plain(*_: Any) -> None:
    """A component."""


def _digits(*_: Any) -> None:
    """A dataset."""


def _mirror(*_: Any, often: Annotated[float, "how often"] = 0.5) -> None:
    """An augmentation."""


_digits.fragile = ("flip",)  # type: ignore[attr-defined]  # a trait
_mirror.does = ("flip",)  # type: ignore[attr-defined]  # a trait


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setattr(train, "check", _refuse, raising=False)
    made = Catalog()
    offers = [
        ("objectives", "train", train),
        ("datasets", "digits", _digits),
        ("datasets", "photos", _plain),
        ("augmentations", "mirror", _mirror),
        *((kind, "plain", _plain) for kind in ("samplers", "trial_schedulers", "executors")),
    ]
    for kind, name, factory in offers:
        made.add(Entry(kind, name, factory, "toys", "hpo-toys"))
    return made


def _check(objective: str, catalog: Catalog) -> Any:
    return check(parse(HEAD + objective, "s.yaml"), catalog, Path("s.yaml"))


def test_an_objective_refuses_what_does_not_go_together_at_its_place(catalog: Catalog) -> None:
    with pytest.raises(StudyFileError) as caught:
        _check("objective:\n  name: train\n  augmentations: [{name: mirror, often: 0.1}]", catalog)
    first, excerpt, caret = str(caught.value).splitlines()
    assert first == "s.yaml:9:19: objective.augmentations.0: flip changes the labels"
    assert excerpt[caret.index("^")] == "{"
    assert caught.value.exit_code == 3


def test_what_goes_together_is_no_problem(catalog: Catalog) -> None:
    _check("objective: {name: train, augmentations: [mirror], dataset: photos}", catalog)
    _check("objective: train", catalog)


def test_a_place_that_the_file_does_not_write_out_is_the_nearest_one(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "check", lambda tree, trait: [(("dataset", "name"), "no digits")])
    with pytest.raises(StudyFileError, match=r"s.yaml:7:1: objective.dataset.name: no digits"):
        _check("objective: train", catalog)


def test_an_objective_is_asked_when_each_option_by_itself_is_fine(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(train, "check", lambda tree, trait: seen.append(tree) or [])
    with pytest.raises(StudyFileError):
        _check("objective: {name: train, epochs: many}", catalog)
    assert seen == []
    _check("objective: {name: train, epochs: {int: [1, 3]}}", catalog)
    (tree,) = seen
    assert tree["epochs"] == {"int": [1, 3]}
    assert tree["dataset"] == {"name": "digits"}


def test_an_objective_is_asked_about_files_where_they_are(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the folder of the study file before the working directory, and in none for another machine."""
    seen: list[Any] = []

    def files(tree: Any, folders: Any) -> Any:
        seen.append(tuple(folders))
        return [(("epochs",), "no such file")] if folders else []

    monkeypatch.setattr(train, "check_files", files, raising=False)
    monkeypatch.chdir(tmp_path)
    source = parse(HEAD + "objective: {name: train, epochs: 3}", "s.yaml")
    with pytest.raises(StudyFileError, match=r"s.yaml:7:26: objective.epochs: no such file"):
        check(source, catalog, Path("studies", "s.yaml"))
    check(source, catalog, Path("studies", "s.yaml"), runs_here=False)
    assert seen == [(tmp_path / "studies", tmp_path), ()]


def test_an_objective_that_cannot_be_asked_is_the_plugins_problem(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "check", lambda tree, trait: trait("datasets", "gone", "x"))
    with pytest.raises(StudyFileError) as caught:
        _check("objective: train", catalog)
    assert "the objective 'train' of plugin 'toys' (hpo-toys) could not be asked" in str(
        caught.value
    )
    assert "there is no dataset 'gone'" in str(caught.value)
    assert caught.value.exit_code == 4
