"""Groups of parameters: which of them decay, and how much slower the layers near the image learn.

The optimizer's own options hold for every group; a group says only what is different in it, and the rates are scaled
when the optimizer is there, for until then nobody knows which rate its options gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from hpo_vision.training.settings import Decaying


@dataclass(frozen=True)
class Grouping:
    """`decaying`: what weight decay is for; `layer_decay`: d, the factor of the learning rate from layer to layer.

    With "weights" it is for matrices and kernels, and not for biases, normalization layers or what the network itself
    excepts (timm's `no_weight_decay`). Of L layers the l-th, from 0, has d^(L - 1 - l) of the learning rate (Bao et al.
    2022), and the last one, the classifier, all of it.
    """

    decaying: Decaying = "all"
    layer_decay: float = 1.0

    def build(self, network: nn.Module, build: Callable[[Any], Optimizer]) -> Optimizer:
        """The optimizer of a network's parameters; `build` makes it from them or from groups."""
        if self == Grouping():
            return build(network.parameters())
        groups = self._groups(network)
        optimizer = build([group for group, _ in groups])
        for group, (_, scale) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] *= scale
        return optimizer

    def _groups(self, network: nn.Module) -> list[tuple[dict[str, Any], float]]:
        """Groups in the order of layers, what decays first, each with the scale of its rate."""
        layer = layers(network) if self.layer_decay < 1 else {}
        last = max(layer.values(), default=0)
        excepted = _excepted(network) if self.decaying == "weights" else set()
        found: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                place = layer.get(name, 0), name in excepted
                found.setdefault(place, []).append(parameter)
        return [
            (
                {"params": found[index, bare], **({"weight_decay": 0.0} if bare else {})},
                self.layer_decay ** (last - index),
            )
            for index, bare in sorted(found)
        ]


def _excepted(network: nn.Module) -> set[str]:
    """The names of the parameters that are no matrices or kernels, or that the network does not want to decay."""
    own: Callable[[], Iterable[str]] = getattr(network, "no_weight_decay", set)
    vectors = {name for name, parameter in network.named_parameters() if parameter.ndim <= 1}
    return vectors | set(own())


def layers(network: nn.Module) -> dict[str, int]:
    """The layer of each parameter by name, from the image (0) to the logits.

    As the network says itself where it is one of timm's. Otherwise each element of an outermost nn.Sequential or
    nn.ModuleList is a layer, and so is what lies side by side before, between or after them, but for the last module,
    the classifier: ResNet-18 has a stem, eight blocks and a classifier. A network of several images lists those that
    see one by its method `networks`: they lie side by side, each with its own layers.
    """
    if hasattr(network, "networks"):
        return _side_by_side(network)
    if hasattr(network, "group_matcher"):
        from timm.models import group_parameters  # it is one of timm's

        matcher: Any = network.group_matcher
        found: dict[str, int] = group_parameters(network, matcher(coarse=False), reverse=True)
        order = {index: rank for rank, index in enumerate(sorted(set(found.values())))}
        return {name: order[index] for name, index in found.items()}
    places = {name: _element(network, name) for name, _ in network.named_parameters()}
    head = next(reversed(places), "").split(".")[0]
    labels = {
        name: place or ("the classifier" if name.split(".")[0] == head else "")
        for name, place in places.items()
    }
    return _numbered(labels)


def _side_by_side(network: nn.Module) -> dict[str, int]:
    """Layers of a network around others: what comes before them is one, and what comes after them."""
    prefixes = {module: name for name, module in network.named_modules()}
    parts: Iterable[nn.Module] = network.networks()  # type: ignore[operator]
    inner = {
        f"{prefixes[part]}.{name}": number
        for part in parts
        for name, number in layers(part).items()
    }
    names = [name for name, _ in network.named_parameters()]
    first = next(index for index, name in enumerate(names) if name in inner)
    shift, last = (1 if first else 0), max(inner.values()) + 1
    after = dict.fromkeys(names[first:], shift + last)
    return {name: inner[name] + shift if name in inner else after.get(name, 0) for name in names}


def _element(network: nn.Module, name: str) -> str:
    """The element of the outermost list of modules that a parameter is in, or nothing."""
    module, path = network, name.split(".")
    for depth, part in enumerate(path[:-1]):
        if isinstance(module, nn.Sequential | nn.ModuleList):
            return ".".join(path[: depth + 1])
        module = getattr(module, part)
    return ""


def _numbered(labels: dict[str, str]) -> dict[str, int]:
    """Labels as numbers: one more wherever the label changes, in the order of parameters."""
    numbers: dict[str, int] = {}
    number, before = -1, None
    for name, label in labels.items():
        number += label != before
        before = label
        numbers[name] = number
    return numbers
