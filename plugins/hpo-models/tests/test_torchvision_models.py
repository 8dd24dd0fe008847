"""torchvision's models: the index, the contract, channels, and options that a model lacks."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from hpo_models import torchvision_index
from hpo_models.torchvision_models import torchvision_model
from torch import nn

from hpo_core import InputShape
from hpo_core.testing.training import ModelContract, built, checked, installed_catalog

SMALL = InputShape(3, 32, 32, 10)


class TestShuffleNet(ModelContract):
    component: ClassVar = "torchvision/shufflenet_v2_x0_5"


class TestSqueezeNet(ModelContract):
    component: ClassVar = {"name": "torchvision/squeezenet1_1", "dropout": 0.1}
    shapes = (InputShape(1, 24, 40, 4), InputShape(4, 32, 32, 3))


def test_index_is_that_of_the_installed_torchvision() -> None:
    assert list(torchvision_index.lines()) == torchvision_index.installed_names(), (
        torchvision_index.__doc__
    )
    offered = set(installed_catalog().names("models"))
    assert {f"torchvision/{name}" for name in torchvision_index.lines()} <= offered


@pytest.mark.parametrize(
    "name",
    ["alexnet", "convnext_tiny", "squeezenet1_1", "googlenet", "mobilenet_v3_small", "vit_b_32"],
)
def test_index_is_what_is_measured(name: str) -> None:
    line = torchvision_index.lines()[name]
    assert torchvision_index.measured(name) == (line.sizes.least, line.sizes.multiple)
    assert tuple(torchvision_index.options(name)) == line.options


def test_options_arrive() -> None:
    with torch.device("meta"):
        tree = {"name": "torchvision/vit_b_32", "dropout": 0.25, "attention_dropout": 0.5}
        model = built("models", tree, SMALL)
    rates = {m.p for m in model.modules() if isinstance(m, nn.Dropout)}
    attention = {m.dropout for m in model.modules() if isinstance(m, nn.MultiheadAttention)}
    assert (rates, attention) == ({0.25}, {0.5})


def test_an_option_that_the_model_lacks_is_none_of_its() -> None:
    with pytest.raises(AssertionError, match=r"has no option .*dropout"):
        checked("models", {"name": "torchvision/resnet18", "dropout": 0.1})


@pytest.mark.parametrize(
    ("architecture", "option"),
    [
        ("resnet18", "dropout"),
        ("swin_t", "stochastic_depth_prob"),
        ("mobilenet_v3_small", "drop_rate"),
    ],
)
def test_an_option_that_the_model_lacks_is_an_error(architecture: str, option: str) -> None:
    given: dict[str, Any] = {option: 0.1}
    with (
        torch.device("meta"),
        pytest.raises(ValueError, match=f"'torchvision/{architecture}' has no {option}: leave"),
    ):
        torchvision_model(SMALL, architecture=architecture, **given)


def test_images_that_are_not_square_are_refused_where_they_must_be() -> None:
    with pytest.raises(ValueError, match=r"needs square images of .* got 32x64: .* to 64$"):
        built("models", "torchvision/vit_b_32", InputShape(3, 32, 64, 10))
