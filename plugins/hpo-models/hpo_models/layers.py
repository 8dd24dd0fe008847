"""The layers that an image meets, found by sending one through.

A model's modules say what there is, but not what is used: auxiliary classifiers are not called in evaluation, and some
attention takes a layer's weights without calling it (torch.nn.MultiheadAttention, torchvision's Swin), so an adapter
around that layer would never learn. Calls tell them apart, and their order tells the classifier.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hpo_core import InputShape

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def probe(model: nn.Module, shape: InputShape) -> Any:
    """What the model says to one black image, in evaluation mode: nothing in it changes, and no random number is drawn.

    Called while a model is built. The image is where new tensors are made, as the model is.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            return model(torch.zeros(1, shape.channels, shape.height, shape.width))
    finally:
        for module, training in modes.items():
            module.training = training


def called(model: nn.Module, shape: InputShape) -> dict[str, nn.Module]:
    """The convolutions and linear layers that are called for an image, by name, in the order of their last calls."""
    found: dict[str, nn.Module] = {}

    def note(name: str, module: nn.Module) -> None:
        found.pop(name, None)
        found[name] = module

    handles = [
        module.register_forward_pre_hook(lambda module, _, name=name: note(name, module))
        for name, module in model.named_modules()
        if isinstance(module, WEIGHTED)
    ]
    try:
        probe(model, shape)
    finally:
        for handle in handles:
            handle.remove()
    return found


def classifier(model: nn.Module, shape: InputShape) -> str:
    """The name of the layer that gives the logits: the last one that is called, with an output for each class.

    Raises ValueError for a model that ends in anything else.
    """
    layers = called(model, shape)
    name = next(reversed(layers), "")
    outputs = _outputs(layers[name]) if name else 0
    if outputs != shape.classes:
        last = f"is '{name}' with {outputs} outputs" if layers else "does not exist"
        raise ValueError(
            f"{type(model).__name__} has no classifier to take off: the last convolution or linear layer that an image "
            f"meets {last}, and there are {shape.classes} classes"
        )
    return name


def headless(model: nn.Module, shape: InputShape) -> int:
    """Take a model's classifier off, in place, and return the width F of what it gives now: features (N, F).

    Raises ValueError where that is not to be had.
    """
    reset: Any = getattr(model, "reset_classifier", None)
    if reset is not None:  # it is one of timm's, which know best
        reset(0)
    else:
        model.set_submodule(classifier(model, shape), nn.Identity())
    features = probe(model, shape)
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        raise ValueError(f"{type(model).__name__} without its classifier gives no features (N, F)")
    return features.shape[1]


def _outputs(layer: nn.Module) -> int:
    return layer.weight.shape[0]  # type: ignore[return-value,index]  # all of WEIGHTED have a weight
