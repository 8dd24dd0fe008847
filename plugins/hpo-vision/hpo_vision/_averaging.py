"""The exponential moving average of a network's weights, as a part of the module that trains it.

A part of the module, and not a Lightning callback: it then moves between devices and into checkpoints with the module,
and validation uses it without swapping any weights. (Lightning's WeightAveraging stays on the CPU if it is set up
before the module moves, and torch's AveragedModel waits for the GPU at each step to look at its counter.)
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Averaged(nn.Module):
    """A copy of `network` whose weights and buffers follow its own: e <- d e + (1 - d) w with d = `decay`.

    Buffers that are not floats (batch normalization's counters) are copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Called after every optimizer step."""
        groups: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        for own, other in zip(_tensors(self.network), _tensors(network), strict=True):
            if own.is_floating_point():
                owns, others = groups.setdefault(own.dtype, ([], []))
                owns.append(own)
                others.append(other)
            else:
                own.copy_(other)
        for owns, others in groups.values():
            self._average(owns, others, 0)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]
