"""What must not happen again when an optimizer evaluates one batch a second time, as sharpness-aware ones do.

They do so at other weights than those that are trained: what is counted per batch would be counted twice, and once in
the wrong place. Gradients are all that a repetition is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def unrecorded(network: nn.Module, loss: nn.Module) -> Iterator[None]:
    """While this lasts normalization uses the batch's statistics without recording them, and the loss does not adapt.

    As in the first pass, the outputs are those of training. Both modules are in training mode before and after.
    """
    recording = [
        module
        for module in network.modules()
        if isinstance(module, _NormBase) and module.track_running_stats
    ]
    for module in recording:
        module.track_running_stats = False
    loss.eval()
    try:
        yield
    finally:
        loss.train()
        for module in recording:
            module.track_running_stats = True
