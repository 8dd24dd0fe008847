"""Datasets say where their files lie, so that trials know which version of them they read."""

from __future__ import annotations

import pytest

from hpo_core.commands import read_component


@pytest.mark.parametrize(
    ("name", "options", "place"),
    [
        ("image-folder", ["path=data/pets"], "data/pets"),
        ("jsonl", ["path=data/pets"], "data/pets"),
        ("csv", ["path=data/pets/table.csv"], "data/pets"),
        ("cifar10", ["root=sets"], "sets"),
        ("torchvision/EMNIST", [], "data"),
    ],
)
def test_who_reads_files_says_where_they_lie(name: str, options: list[str], place: str) -> None:
    component = read_component("datasets", name, options)
    given = {"root": "data"} | dict(component.options)
    assert component.trait("location", None)(given) == place


@pytest.mark.parametrize("name", ["digits", "logos", "shapes20", "jerseys"])
def test_who_draws_or_brings_its_images_says_nothing(name: str) -> None:
    assert read_component("datasets", name).trait("location", None) is None
