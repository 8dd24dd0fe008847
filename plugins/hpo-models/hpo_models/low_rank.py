"""Puts peft's adapters into a model and merges them into its weights again. The half of `lora` that imports torch.

peft wants a model of its own around ours; here its layers are injected instead, so that the model stays what it is:
its class, its name for each layer, and what timm's say about themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from hpo_core import HpoError, InputShape
from hpo_models.layers import called, classifier
from hpo_models.small_maps import TrimmedConv2d


@dataclass(frozen=True)
class Adapters:
    """What each adapter is like; see `hpo_models.adapters.lora`."""

    rank: int
    alpha: float
    rslora: bool
    dora: bool
    drop_rate: float


def adapt(
    model: nn.Module,
    shape: InputShape,
    adapters: Adapters,
    targets: list[str] | None,
    train_head: bool,
) -> None:
    """Put adapters into a model, in place, and freeze everything else but, if wanted, its classifier.

    Raises ValueError when no layer is left to adapt, and HpoError without peft.
    """
    head = classifier(model, shape) if train_head else ""
    layers = {name: layer for name, layer in called(model, shape).items() if name != head}
    _inject(model, _chosen(layers, targets), adapters)
    if head:
        model.get_submodule(head).requires_grad_(True)


def merge(model: nn.Module) -> None:
    """Add each adapter to the weight it corrects, in place: the model that the adapters were put into, all trainable.

    Raises ValueError for a weight that would not be finite.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [
        (name, layer) for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)
    ]
    for name, layer in layers:
        layer.merge(safe_merge=True)
        model.set_submodule(name, layer.get_base_layer())
    model.requires_grad_(True)


def _chosen(layers: Mapping[str, nn.Module], targets: list[str] | None) -> list[str]:
    able = [name for name, layer in layers.items() if _can_be_adapted(layer)]
    if targets is None:
        chosen = able
    else:
        chosen = [name for name in able if any(re.fullmatch(each, name) for each in targets)]
    if not chosen:
        wanted = (
            "is a plain convolution or linear layer" if targets is None else f"matches {targets}"
        )
        raise ValueError(f"no layer to adapt {wanted}; there are: {', '.join(able) or 'none'}")
    return chosen


def _can_be_adapted(layer: nn.Module) -> bool:
    """Exactly these types, for of others nobody knows whether their weight may be replaced by a sum."""
    if type(layer) is nn.Linear:
        return True
    return (
        type(layer) in (nn.Conv2d, TrimmedConv2d)
        and isinstance(layer, nn.Conv2d)
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
    )


def _inject(model: nn.Module, names: list[str], adapters: Adapters) -> None:
    try:
        import peft
    except ImportError as error:
        raise HpoError("the model 'lora' needs peft: install hpo-models[peft]") from error
    whole = "|".join(map(re.escape, names))  # names in a list would match ends of longer ones too
    config: Any = peft.LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,  # type: ignore[arg-type]  # any number will do
        use_rslora=adapters.rslora,
        use_dora=adapters.dora,
        lora_dropout=adapters.drop_rate,
        target_modules=whole,
    )
    peft.inject_adapter_in_model(config, model)
    if adapters.dora:
        from hpo_models.dora_layout import allow_any_layout

        allow_any_layout(model)
