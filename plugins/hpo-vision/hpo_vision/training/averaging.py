"""An average of a network's weights over the steps of its training, as a part of the module that trains it.

Either exponential, over all steps, or the plain mean that stochastic weight averaging takes over the last ones
(Izmailov et al. 2018); the arithmetic is that of `torch.optim.swa_utils`.

A part of the module, and not a Lightning callback: it then moves between devices and into checkpoints with the module,
and validation uses it without swapping any weights. (Lightning's WeightAveraging stays on the CPU if it is set up
before the module moves, and torch's AveragedModel waits for the GPU at each step to look at its counter.)
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn


class Averaged(nn.Module):
    """A copy of `network` whose weights and buffers follow its own: e <- d e + (1 - d) w with d = `decay`.

    Without a decay it is the mean of the `count` networks it has seen, the first one included: e <- e + (w - e) /
    (count + 1). Buffers that are not floats (batch normalization's counters) are copied; its running statistics are
    averaged as the weights are, which takes no further pass over the data.
    """

    def __init__(self, network: nn.Module, decay: float | None, count: int = 1) -> None:
        super().__init__()
        self.count = count
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._average = (
            get_swa_multi_avg_fn() if decay is None else get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        )

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
            self._average(owns, others, self.count)
        self.count += 1


def _tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]
