"""What a model costs: counted on torch's meta device, where tensors have shapes and no memory, and measured here.

Counting takes one pass without arithmetic, so a model of a gigabyte is counted like any other. Only the latency is of
real weights. Nothing of it is typed in anywhere: other versions of the libraries may well give other figures.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hpo_core import Component, InputShape
from hpo_models.layers import WEIGHTED
from hpo_models.sizes import ANY

LADDER = (8, 16, 24, 32, 48, 64, 72, 80, 96, 112, 128, 160, 192, 224, 256, 299, 320, 384)
"""The sides, in pixels, among which the smallest input is looked for."""

RUNS = 7
_WARM_UP = 2
_LAYERS = ("Convolution", "Addmm", "Mm", "Linear", "MkldnnLinear")


def count(component: Component, shape: InputShape) -> dict[str, Any]:
    """Figures of a model that need no arithmetic, for one image of `shape`. Raises what the model raises.

    `parameters`, and `trainable_parameters` of them; `bytes` of its weights and buffers as they are saved; `flops` of a
    forward pass, a multiplication and an addition being two; `layers`, the convolutions and linear layers that there
    are; `depth`, the most of them that lie on one way from the image to the logits, so 18 of a ResNet-18's 21.
    """
    model = _built(component, shape).eval()
    trainable = sum(each.numel() for each in model.parameters() if each.requires_grad)
    model.requires_grad_(True)  # the way back through the gradients is what shows the depth
    counter = FlopCounterMode(display=False)
    with counter:
        logits = model(_images(1, shape))
    return {
        "parameters": sum(each.numel() for each in model.parameters()),
        "trainable_parameters": trainable,
        "bytes": sum(each.numel() * each.element_size() for each in model.state_dict().values()),
        "flops": counter.get_total_flops(),
        "layers": sum(isinstance(each, WEIGHTED) for each in model.modules()),
        "depth": _depth(logits),
    }


def smallest_input(component: Component, shape: InputShape) -> int | None:
    """The first side whose square images the model is trained on, or None.

    Tried are those of `LADDER` and the one that the model's factory names as its least (`hpo_models.sizes`).
    """
    least: int = component.trait("sizes", ANY).least
    for side in sorted({*LADDER, *([least] if least > 1 else [])}):
        square = replace(shape, height=side, width=side)
        try:
            logits = _built(component, square).train()(_images(2, square))
        except Exception:  # whatever a model raises for images that it cannot take
            continue
        if isinstance(logits, Tensor) and logits.shape == (2, shape.classes):
            return side
    return None


def latency(component: Component, shape: InputShape) -> dict[str, Any]:
    """The median `seconds` of `runs` forward passes of one image on the CPU, and the `threads` it took."""
    image = torch.zeros(1, shape.channels, shape.height, shape.width)
    model = component.build(shape).eval()
    with torch.inference_mode():
        for _ in range(_WARM_UP):
            model(image)
        seconds = [_timed(model, image) for _ in range(RUNS)]
    return {
        "seconds": statistics.median(seconds),
        "runs": RUNS,
        "batch": 1,
        "device": "cpu",
        "threads": torch.get_num_threads(),
    }


def _built(component: Component, shape: InputShape) -> nn.Module:
    """A model on the meta device. One whose constructor computes with tensors is built for real and taken there."""
    try:
        with torch.device("meta"):
            model: nn.Module = component.build(shape)
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
        model = component.build(shape).to("meta")
    return model


def _images(count: int, shape: InputShape) -> Tensor:
    """Only they are there: what a model draws on its way, say whether to drop a path, are real numbers."""
    return torch.zeros(count, shape.channels, shape.height, shape.width, device="meta")


def _timed(model: Any, image: Tensor) -> float:
    start = time.perf_counter()
    model(image)
    return time.perf_counter() - start


def _depth(logits: Tensor) -> int:
    """The most convolutions and matrix products with weights on one way through the graph of gradients."""
    depths: dict[Any, int] = {None: 0}
    waiting = [logits.grad_fn]
    while waiting:
        node = waiting[-1]
        before = [] if node is None else [each for each, _ in node.next_functions]
        unknown = [each for each in before if each not in depths]
        if unknown:
            waiting += unknown
            continue
        if node not in depths:
            depths[node] = max((depths[each] for each in before), default=0) + _is_layer(node)
        waiting.pop()
    return depths[logits.grad_fn]


def _is_layer(node: Any) -> bool:
    return str(node.name()).split("Backward")[0] in _LAYERS
