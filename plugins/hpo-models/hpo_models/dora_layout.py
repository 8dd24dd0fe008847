"""DoRA for convolutions whose weights lie in memory with channels last, as objectives like to have them.

peft 0.21 multiplies the weights of B and A after viewing them as matrices, which torch refuses for that layout.
"""

from __future__ import annotations

from typing import Any

from peft.tuners.lora.dora import DoraConv2dLayer
from torch import Tensor, nn


class AnyLayoutDora(DoraConv2dLayer):
    """The layer of peft that keeps the magnitudes, for weights of any layout."""

    def get_lora_weight(self, lora_A: Any, lora_B: Any, adapter_name: str | None = None) -> Tensor:
        """B A as a matrix (outputs, inputs * kernel). Called by peft in each forward pass."""
        rank = lora_A.weight.shape[0]
        product: Tensor = lora_B.weight.reshape(-1, rank) @ lora_A.weight.reshape(rank, -1)
        return product


def allow_any_layout(model: nn.Module) -> None:
    """Let each of peft's layers for convolutions in a model be one of ours, with the weights that it has."""
    for module in model.modules():
        if type(module) is DoraConv2dLayer:
            module.__class__ = AnyLayoutDora
