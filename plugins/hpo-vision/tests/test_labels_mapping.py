"""`labels_mapping.json` as it was once, for 2, 4, 10 and 43 classes; groups of classes, and files that say them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drawn_files import annotate, annotated, row
from hpo_vision.datasets.groups import grouped
from hpo_vision.datasets.mapping import labels_mapping, written

from hpo_core.testing.training import built

GOLDEN = Path(__file__).parent / "golden"

CLASSES = {
    2: ["yes", "no"],
    4: ["text", "simple", "gradient", "complex"],
    10: [str(number) for number in range(1, 11)],
    43: ["", "0", "00", *(str(number) for number in range(1, 41))],
}


def jsonl(root: Path, **options: Any) -> Any:
    return built("datasets", {"name": "jsonl", "path": str(root), "image_size": 8, **options}, 1)


@pytest.mark.parametrize("count", CLASSES)
def test_the_mapping_is_the_one_it_was(tmp_path: Path, count: int) -> None:
    data = jsonl(annotated(tmp_path, CLASSES[count], each=1))
    assert len(data.classes) == count
    golden = (GOLDEN / f"labels_mapping_{count}.json").read_text(encoding="utf-8")
    assert written(data) == golden
    labels = json.loads(golden)["labels"]
    assert list(labels) == sorted(labels, key=str) and list(labels.values()) == list(range(count))


def test_ten_comes_before_two(tmp_path: Path) -> None:
    labels = labels_mapping(jsonl(annotated(tmp_path, CLASSES[10], each=1)))["labels"]
    assert labels["1"] < labels["10"] < labels["2"]


def test_only_the_training_part_has_a_say(tmp_path: Path) -> None:
    root = annotated(tmp_path, ("b", "c"), each=2)
    before = written(jsonl(root))
    lines = (root / "val" / "annotations.jsonl").read_text().splitlines()
    annotate(root / "val", [*lines, row("images/0.png", "a")])
    assert written(jsonl(root)) == before


def test_groups_are_checked_against_the_classes(tmp_path: Path) -> None:
    root = annotated(tmp_path, ("bird", "cat", "ship", "truck"))
    data = jsonl(root, groups={"animals": ["cat", "bird"], "vehicles": ["ship", "truck"]})
    assert data.groups == {"animals": ("bird", "cat"), "vehicles": ("ship", "truck")}
    with pytest.raises(
        ValueError, match=r"group 'vehicles': there is no class 'trukc' - did you mean 'truck'\?"
    ):
        jsonl(root, groups={"vehicles": ["trukc"]})
    with pytest.raises(ValueError, match="group 'nothing' has no class"):
        jsonl(root, groups={"nothing": []})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "h.json",
            '{"cat": ["animals", "living"], "bird": ["animals", "living"], "ship": "vehicles"}',
        ),
        ("h.yaml", "cat: [animals, living]\nbird: [animals, living]\nship: vehicles\n"),
    ],
)
def test_a_file_says_what_classes_are(tmp_path: Path, name: str, text: str) -> None:
    root = annotated(tmp_path / "set", ("bird", "cat", "ship", "truck"))
    (tmp_path / name).write_text(text)
    data = jsonl(root, hierarchy=str(tmp_path / name), groups={"others": ["truck"]})
    assert data.groups == {
        "others": ("truck",),
        "animals": ("bird", "cat"),
        "living": ("bird", "cat"),
        "vehicles": ("ship",),
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("cats: animals", "there is no class 'cats' - did you mean 'cat'"),
        ("cat: 1", "1 of 'cat' is no text"),
        ("no: animals", "False is no text: put it in quotes"),
        ("[cat]", "it must map each class"),
        ("cat: [", "expected the node content"),
        ("cat: pets", "group 'pets' stands among `groups` too"),
    ],
)
def test_a_wrong_hierarchy_is_said(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "h.yaml").write_text(text)
    with pytest.raises(ValueError, match=what):
        grouped(("cat", "dog"), {"pets": ("cat",)}, str(tmp_path / "h.yaml"))
