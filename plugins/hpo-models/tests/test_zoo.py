"""The 38 names: each is the network that it says, takes the images that it says, and learns.

Parameters are compared with counts made elsewhere from the libraries' own classes. Networks of more than 30 M
parameters only give logits, on a device without numbers.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from hpo_models.sizes import ANY, Sizes
from hpo_models.zoo import ZOO, Architecture
from torch import nn

from hpo_core import InputShape, PluginError
from hpo_core.testing.training import built, installed_catalog

MILLIONS: dict[str, float | None] = {
    "AlexNet": 57.04,
    "BagNet": 13.66,
    "ConvNeXt": 27.83,
    "ConvNeXtTransformer": 14.19,
    "DarkNet": 40.60,
    "DenseNet": 6.96,
    "EfficientNet": 4.02,
    "FractalNet": 33.72,
    "GoogLeNet": 5.61,
    "ICNet": 11.16,
    "InceptionV3": 21.81,
    "MNASNet": 3.12,
    "MaxVit": 30.41,
    "MobileNetV2": 2.24,
    "MobileNetV3": 4.22,
    "RegNet": 3.91,
    "ResNet": 11.18,
    "ResNet18": 11.18,
    "ResNet34": 21.29,
    "ResNet50": 23.53,
    "ResNet101": 42.52,
    "ShuffleNet": 1.26,
    "SqueezeNet": 0.73,
    "SwinTransformer": 27.53,
    "VGG": 134.31,
    "VisionTransformer": 85.81,
    "AirNet": 25.40,
    "AirNext": 25.58,
    "BayesianNet": 22.35,
    "ComplexNet": None,  # made here
    "DPN68": 11.79,
    "DPN107": 84.26,
    "DPN131": 76.59,
    "Diffuser": None,  # made here
    "EfficientNetV2": 20.19,
    "MobileNetV4": 2.51,
    "NASNet": 84.76,
    "Xception": 20.83,
}
SUBSTITUTES = {"ConvNeXtTransformer", "ICNet", "BayesianNet", "ComplexNet", "Diffuser"}
BIG = 30.0  # millions of parameters
CLASSES = 10
BY_NAME = {architecture.name: architecture for architecture in ZOO}


def sizes(architecture: Architecture) -> Sizes:
    found = architecture.factory().sizes  # type: ignore[attr-defined]
    assert isinstance(found, Sizes)
    return found


def square(side: int, channels: int = 3) -> InputShape:
    return InputShape(channels, side, side, CLASSES)


def nowhere(name: str) -> contextlib.AbstractContextManager[Any]:
    """A device without numbers; RegNets compute their widths with tensors, and need some."""
    return contextlib.nullcontext() if name == "RegNet" else torch.device("meta")


def goes_through(architecture: Architecture, side: int) -> bool:
    """Whether images go through the network in training when nobody checks their size."""
    preset = {} if sizes(architecture) == ANY else {"sizes": ANY}
    try:
        with torch.device("meta"):
            model = architecture.build(square(side), **preset).train()
            model(torch.empty(2, 3, side, side))
    except (RuntimeError, ValueError, AssertionError):
        return False
    return True


def test_every_name_is_offered_in_two_spellings() -> None:
    offered = set(installed_catalog().names("models"))
    assert len(ZOO) == 38 and set(BY_NAME) == set(MILLIONS)
    for architecture in ZOO:
        assert {architecture.name, architecture.plain} <= offered
        assert architecture.plain == architecture.plain.lower()
        assert architecture.plain.replace("-", "") == architecture.name.lower()


def test_a_tier_has_each_model_once() -> None:
    tiers = installed_catalog().tiers("models")
    assert tiers[1] == ["resnet18", "resnet34", "resnet50"]
    assert tiers[2] == ["densenet", "efficientnet", "mobilenet-v2", "vgg"]
    assert tiers[3] == ["convnext", "swin-transformer", "vision-transformer"]


def test_substitutes_say_so() -> None:
    for architecture in ZOO:
        factory: Any = architecture.factory()
        is_one = architecture.name in SUBSTITUTES
        assert (factory.substitute_for is not None) is is_one
        assert factory.__doc__.startswith("A substitute for " + architecture.name) is is_one


def test_use_cases_and_profiles_are_given() -> None:
    names = installed_catalog().names
    for architecture in ZOO:
        assert architecture.use_cases and architecture.profile
        assert architecture.profile["optimizer"] in names("optimizers")
        assert architecture.profile["lr_scheduler"] in names("lr_schedulers")


@pytest.mark.parametrize("name", [name for name, count in MILLIONS.items() if count])
def test_parameters(name: str) -> None:
    with nowhere(name):
        model = built("models", name, square(32 if name == "FractalNet" else 224))
    count = sum(weight.numel() for weight in model.parameters())
    assert count / 1e6 == pytest.approx(MILLIONS[name], rel=0.005)


@pytest.mark.parametrize("name", MILLIONS)
def test_learns_at_its_smallest_size(name: str) -> None:
    least = sizes(BY_NAME[name]).least
    device = torch.device("meta" if (MILLIONS[name] or 0) > BIG else "cpu")
    torch.manual_seed(0)
    with device:
        model = built("models", name, square(least)).train()
        images, labels = torch.randn(2, 3, least, least), torch.tensor([0, 1])
    logits = model(images)
    assert logits.shape == (2, CLASSES)
    if device.type == "cpu":
        assert learns(model, nn.functional.cross_entropy(logits, labels))


def learns(model: nn.Module, loss: torch.Tensor) -> bool:
    """Whether a step down the gradient of a finite loss changes parameters and leaves them finite."""
    before = [weight.detach().clone() for weight in model.parameters()]
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    after = list(model.parameters())
    finite = all(tensor.isfinite().all() for tensor in (loss, *after))
    return finite and any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", [name for name in MILLIONS if sizes(BY_NAME[name]) != ANY])
def test_smaller_images_are_refused_when_it_is_built(name: str) -> None:
    bound = sizes(BY_NAME[name])
    smaller = bound.least - 1
    with pytest.raises(ValueError, match=f"at least {bound.least}x{bound.least} .*got {smaller}x"):
        built("models", name, square(smaller))
    # and rightly so
    assert not (
        goes_through(BY_NAME[name], smaller) and goes_through(BY_NAME[name], bound.least + 1)
    )
    if bound.most:
        assert not goes_through(BY_NAME[name], bound.most + 1)


def test_the_refusal_names_a_size_that_fits() -> None:
    with pytest.raises(ValueError, match=r"got 32x32: set the dataset's image_size to 63$"):
        built("models", "AlexNet", square(32))
    with pytest.raises(ValueError, match=r"multiples of 16, got 40x40: .* image_size to 48$"):
        built("models", "VisionTransformer", square(40))
    with pytest.raises(ValueError, match=r"at most 63x63 pixels, got 96x96: .* image_size to 63$"):
        built("models", "FractalNet", square(96))


@pytest.mark.parametrize("name", ["BayesianNet", "ComplexNet", "Diffuser"])
def test_evaluation_is_not_random(name: str) -> None:
    model = built("models", name, square(32, channels=1)).eval()
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(model(images), model(images))
    again = model.train()(images)
    assert torch.equal(again, model(images)) is (name == "ComplexNet")


def test_weights_are_pulled_to_their_prior() -> None:
    strong = {"name": "BayesianNet", "kl_weight": 1.0, "prior_std": 0.5}
    model = built("models", strong, square(8)).train()
    (0 * model(torch.randn(2, 3, 8, 8))).sum().backward()
    drawn = model.fc.parametrizations.weight
    std = nn.functional.softplus(drawn.original1)
    # KL = log(p / s) + (s^2 + m^2) / (2 p^2) - 1/2
    torch.testing.assert_close(drawn.original0.grad, drawn.original0.detach() / 0.25)
    slope = (std / 0.25 - 1 / std) * torch.sigmoid(drawn.original1)
    torch.testing.assert_close(drawn.original1.grad, slope.detach())


def test_complex_convolution_is_one() -> None:
    from hpo_models._complex import ComplexConv2d

    layer = ComplexConv2d(2, 3)
    image = torch.randn(1, 2, 6, 6, dtype=torch.complex64)
    found = layer(torch.cat([image.real, image.imag], 1))
    kernel = torch.complex(layer.real, layer.imaginary)
    expected = nn.functional.conv2d(image, kernel, stride=2, padding=1)
    torch.testing.assert_close(found, torch.cat([expected.real, expected.imag], 1))


def test_fractalnet_draws_its_paths_from_torch() -> None:
    import numpy as np

    model = built("models", "FractalNet", square(32)).train()
    images = torch.randn(2, 3, 32, 32)
    losses = []
    with torch.no_grad():
        for noise in (1, 2):
            np.random.seed(noise)
            torch.manual_seed(7)
            losses.append(model(images))
    assert torch.equal(*losses)


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pytorchcv.models.bagnet", None)
    with pytest.raises(PluginError, match=r"install the extra hpo-models\[pytorchcv\]"):
        built("models", "BagNet", square(224))
