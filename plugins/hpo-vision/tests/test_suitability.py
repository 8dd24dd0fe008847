"""An augmentation that makes labels wrong is refused: in a study file, and when a trial is run all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hpo_vision.training.suitability import refuse
from recorded import Calls, component, points

from hpo_core import Component, InputShape
from hpo_core.errors import StudyFileError
from hpo_core.spec import check, read
from hpo_core.testing.training import installed_catalog


def problems(tmp_path: Path, augmentation: str, dataset: str = "digits") -> str:
    """What `hpo validate` says of a study; nothing if it is fine."""
    study = tmp_path / "study.yaml"
    study.write_text(
        "study: s\nmetric: {name: val_accuracy, goal: maximize}\nbudget: {trials: 1}\n"
        "objective:\n  name: image-classification\n  epochs: 1\n  model: resnet18\n"
        f"  dataset: {dataset}\n  augmentation: {augmentation}\n"
    )
    try:
        check(read(study, ()), installed_catalog(), study)
    except StudyFileError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("augmentation", "said"),
    [
        ("flip", "a mirrored 2 is no digit): take another augmentation"),
        ("trivial-augment", "a 6 turned upside down is a 9): set `without: [rotate]`"),
        ("{name: trivial-augment, strength: {float: [0.1, 1.0]}}", "without: [rotate]"),
        ("{name: affine, degrees: {float: [0, 90]}}", "a 6 turned upside down"),
        ("{choice: [none, flip]}", "study.yaml:9:33:"),
        ("{sequence: [crop, flip]}", "study.yaml:9:"),
        ("{sequence: [{choice: [none, crop]}, {name: sequence, of: [flip]}]}", "study.yaml:9:"),
        ("{name: trivial-augment, strength: {float: [0.1, 1.0]}, without: {choice: [[], [rotate]]}}",
         "without: [rotate]"),
    ],
)  # fmt: skip
def test_a_study_is_refused(tmp_path: Path, augmentation: str, said: str) -> None:
    assert said in problems(tmp_path, augmentation)


@pytest.mark.parametrize(
    "augmentation",
    [
        "none",
        "crop",
        "affine",
        "{name: trivial-augment, without: [rotate]}",
        "{name: trivial-augment, strength: {float: [0.05, 0.2]}}",
        "{choice: [rand-augment, mixup, {sequence: [crop, cutmix]}]}",
        "{name: aug-mix, search: true}",
    ],
)
def test_a_study_is_allowed(tmp_path: Path, augmentation: str) -> None:
    assert problems(tmp_path, augmentation) == ""


def test_every_dataset_that_could_be_chosen_counts(tmp_path: Path) -> None:
    flips = "{choice: [{name: image-folder, path: .}, digits]}"
    assert problems(tmp_path, "flip", "{name: image-folder, path: .}") == ""
    assert "'digits'" in problems(tmp_path, "flip", flips)


def digits() -> Component:
    return component("datasets", {"name": "digits", "image_size": 8})


@pytest.mark.parametrize("tree", ["flip", {"sequence": ["crop", {"sequence": ["flip"]}]}])
def test_a_trial_is_refused(tree: Any) -> None:
    found = component("augmentations", tree)
    with pytest.raises(ValueError, match="'flip' changes labels of the dataset 'digits'"):
        refuse(digits(), found, found.build(InputShape(3, 8, 8, 10)))


def test_what_says_nothing_is_trusted() -> None:
    refuse(digits(), Component("foreign"), object())
    refuse(Component("foreign"), component("augmentations", "flip"), object())


def test_a_refused_trial_trains_nothing(tmp_path: Path) -> None:
    def data(seed: int) -> Any:
        return points(seed)

    data.changed_by = lambda options: {"flip": "left is right"}  # type: ignore[attr-defined]
    calls = Calls(tmp_path)
    with pytest.raises(ValueError, match="left is right"):
        calls(dataset=data, augmentation="flip")
    assert not calls.reports
