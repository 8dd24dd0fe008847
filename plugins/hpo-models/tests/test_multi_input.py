"""Several images in one example: the contract for each fusion, and what it promises about parameters and averages."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from hpo_models.layers import classifier, headless

from hpo_core import InputShape
from hpo_core.testing.training import ModelContract, built

TINY = "timm/test_resnet"
THREE = InputShape(9, 32, 32, 5)


def parameters(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters())


class TestShared(ModelContract):
    component: ClassVar = {"name": "multi-input", "backbone": TINY}
    shapes = (THREE, InputShape(3, 32, 40, 2))


class TestSeparate(ModelContract):
    component: ClassVar = {
        "name": "multi-input",
        "backbone": "timm/test_vit",
        "fusion": "separate",
        "inputs": 2,
        "hidden": 8,
        "drop_rate": 0.1,
    }
    shapes = (InputShape(6, 32, 32, 5),)


class TestChannel(ModelContract):
    component: ClassVar = {"name": "multi-input", "backbone": "resnet18", "fusion": "channel"}
    shapes = (THREE,)


@pytest.mark.parametrize(
    ("fusion", "millions"), [("separate", 70.59), ("shared", 23.57), ("channel", 23.53)]
)
def test_sizes_over_resnet50(fusion: str, millions: float) -> None:
    with torch.device("meta"):
        model = built(
            "models", {"name": "multi-input", "fusion": fusion}, InputShape(9, 224, 224, 10)
        )
    assert parameters(model) / 1e6 == pytest.approx(millions, abs=0.01)


def test_equal_images_come_out_as_that_image() -> None:
    model = built("models", {"name": "multi-input", "backbone": TINY, "fusion": "channel"}, THREE)
    image = torch.tensor([0.9, 0.5, 0.1])[None, :, None, None].expand(1, 3, 32, 32)
    torch.testing.assert_close(model.fusion(image.repeat(1, 3, 1, 1)), image)
    weight = model.fusion.weight.detach()[:, :, 0, 0]
    for output in range(3):
        for place in range(9):
            expected = 1 / 3 if place % 3 == output else 0.0
            assert float(weight[output, place]) == pytest.approx(expected)


def test_different_images_are_averaged() -> None:
    model = built("models", {"name": "multi-input", "backbone": TINY, "fusion": "channel"}, THREE)
    images = torch.randn(2, 3, 3, 32, 32)
    torch.testing.assert_close(model.fusion(images.flatten(1, 2)), images.mean(1))


@pytest.mark.parametrize("fusion", ["shared", "separate"])
def test_features_are_in_the_order_of_the_images(fusion: str) -> None:
    tree = {"name": "multi-input", "backbone": TINY, "fusion": fusion}
    model = built("models", tree, THREE).eval()
    images = torch.randn(2, 9, 32, 32)
    features = model.features(images).unflatten(1, (3, -1))
    for place in range(3):
        backbone = model.backbones[place if fusion == "separate" else 0]
        expected = backbone(images[:, 3 * place : 3 * place + 3])
        torch.testing.assert_close(features[:, place], expected)


@pytest.mark.parametrize(
    ("tree", "channels", "message"),
    [
        ({"inputs": 3}, 4, "multiple of 3 channels, these have 4"),
        ({"fusion": "channel", "hidden": 9}, 9, "no meaning with fusion: channel"),
    ],
)
def test_mistakes_are_named(tree: dict[str, Any], channels: int, message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        built("models", {"name": "multi-input", **tree}, InputShape(channels, 32, 32, 5))


def test_a_model_without_a_classifier_is_refused() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 7, 1), torch.nn.Flatten())
    with pytest.raises(ValueError, match="'0' with 7 outputs, and there are 5 classes"):
        headless(model, InputShape(3, 4, 4, 5))


def test_the_classifier_is_the_layer_that_is_called_last() -> None:
    class Odd(torch.nn.Module):
        """Its classifier is not its last module, and its last one has as many outputs and is never called."""

        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(6, 5)
            self.body = torch.nn.Linear(12, 6)
            self.auxiliary = torch.nn.Linear(6, 5)

        def forward(self, images: Any) -> Any:
            return self.head(self.body(images.flatten(1)))

    model, shape = Odd(), InputShape(3, 2, 2, 5)
    assert classifier(model, shape) == "head"
    assert headless(model, shape) == 6 and model.training
