"""The walk that finds random transformations behind a part finds them wherever they hide."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hpo_vision.datasets.batches import IndexedImages
from recorded import points
from torchvision.transforms import v2

from hpo_core.testing.training import DatasetContract
from hpo_core.testing.transforms import random_transforms

FLIP = v2.RandomHorizontalFlip(1e-9)  # so rarely that two passes are equal


def by_global(indices: Any) -> torch.Tensor:
    return FLIP(torch.zeros(len(indices), 1, 1, 1))


class Holder:
    """Has it in an attribute, a list and a dict."""

    def __init__(self, inside: Any) -> None:
        self._steps = [{"first": (inside,)}]

    def __call__(self, indices: Any) -> torch.Tensor:
        return torch.zeros(len(indices), 1, 1, 1)


class Method:
    """Refers to it in a method only."""

    def __call__(self, indices: Any) -> torch.Tensor:
        return by_global(indices)


def by_argument(step: Any, indices: Any) -> torch.Tensor:
    return torch.zeros(len(indices), 1, 1, 1)


def hidden(step: Any) -> list[Callable[[Any], torch.Tensor]]:
    def closed(indices: Any) -> torch.Tensor:
        return step(torch.zeros(len(indices), 1, 1, 1))

    return [closed, functools.partial(by_argument, step), Holder(step), Holder(v2.Compose([step]))]


def with_load(load: Callable[[Any], torch.Tensor]) -> IndexedImages:
    return IndexedImages(**{**vars(points(0)), "load": load})


@pytest.mark.parametrize(
    "step",
    [FLIP, v2.ColorJitter(0.1), v2.TrivialAugmentWide(), v2.GaussianNoise(), v2.RandAugment()],
)
def test_random_ones_are_found(step: Any) -> None:
    for load in hidden(step):
        found = random_transforms(with_load(load).batches("val"))
        assert any(name.endswith(type(step).__name__) for name in found), load


def test_they_are_found_behind_names() -> None:
    for load in (by_global, Method()):
        assert random_transforms(with_load(load).batches("val")) == [
            "torchvision.transforms.v2._geometry.RandomHorizontalFlip"
        ]


def test_others_are_not() -> None:
    for load in hidden(v2.Compose([v2.Resize(8), v2.CenterCrop(4), v2.Normalize([0.5], [0.5])])):
        assert random_transforms(with_load(load).batches("val")) == []
    assert random_transforms(points(0).batches("val")) == []


def test_the_contract_refuses_one_that_hardly_ever_acts() -> None:
    class Suite(DatasetContract):
        parts = ("train", "val")

    check = Suite().test_nothing_random_is_done_to_what_trials_are_judged_by
    check(points(0))
    with pytest.raises(AssertionError, match="RandomHorizontalFlip"):
        check(with_load(by_global))
