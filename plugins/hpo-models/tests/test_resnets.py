"""ResNets: the contract, the stems, and that skipping padding changes no number."""

from __future__ import annotations

import pytest
import torch
from hpo_models.small_maps import TrimmedConv2d
from torch import nn
from torchvision import models

from hpo_core import InputShape
from hpo_core.testing.training import ModelContract, built

SMALL = InputShape(3, 32, 32, 10)


class TestResnet18(ModelContract):
    component = "resnet18"
    shapes = (SMALL, InputShape(1, 16, 24, 4), InputShape(3, 72, 72, 2))


@pytest.mark.parametrize(("name", "millions"), [("resnet34", 21.29), ("resnet50", 23.53)])
def test_sizes(name: str, millions: float) -> None:
    with torch.device("meta"):
        model = built("models", name, InputShape(3, 224, 224, 10))
    count = sum(weight.numel() for weight in model.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(
    ("stem", "size", "kernel", "stride", "side"),
    [
        ("auto", 32, 3, 2, 8),
        ("auto", 96, 7, 2, 24),
        ("standard", 32, 7, 2, 8),
        ("small", 96, 3, 2, 24),
        ("cifar", 32, 3, 1, 32),
    ],
)
def test_stems(stem: str, size: int, kernel: int, stride: int, side: int) -> None:
    with torch.device("meta"):
        model = built("models", {"name": "resnet18", "stem": stem}, InputShape(1, size, size, 10))
        first = model.maxpool(model.conv1(torch.zeros(1, 1, size, size)))
    assert model.conv1.kernel_size == (kernel, kernel) and model.conv1.stride == (stride, stride)
    assert first.shape[-1] == side


def test_numbers_are_torchvisions() -> None:
    ours = built("models", {"name": "resnet18", "stem": "standard"}, SMALL).double()
    theirs = models.resnet18(num_classes=10).double()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    losses = [model(images).square().mean() for model in (ours, theirs)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(ours.layer4[1].conv2.weight.grad, theirs.layer4[1].conv2.weight.grad)
    torch.testing.assert_close(ours.conv1.weight.grad, theirs.conv1.weight.grad)


FITTING = [
    (kernel, stride, padding, size)
    for kernel in (2, 3, 5)
    for stride in (1, 2, 3)
    for padding in (0, 1, 2)
    for size in ((1, 1), (2, 2), (1, 2), (3, 3), (5, 3))
    if min(size) + 2 * padding >= kernel
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), FITTING)
def test_trimmed_convolution_is_a_convolution(
    kernel: int, stride: int, padding: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(2, 3, kernel, stride, padding).double()
    trimmed = TrimmedConv2d(2, 3, kernel, stride, padding).double()
    trimmed.load_state_dict(plain.state_dict())
    image = torch.randn(2, 2, *size, dtype=torch.float64)
    for layout in (torch.contiguous_format, torch.channels_last):
        given = image.contiguous(memory_format=layout)
        torch.testing.assert_close(trimmed(given), plain(given))
