"""The SAM family of pytorch_optimizer with torch's `step(closure)`; see `hpo_torch.sharpness`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_optimizer
import torch
from torch import nn

Closure = Callable[[], Any]


class SAM(pytorch_optimizer.SAM):
    """Looks uphill in each step."""

    needs_closure = True

    def step(self, closure: Closure | None = None) -> Any:
        """One step; `closure` is called twice. Raises TypeError without one."""
        loss = _evaluated(self, closure)
        super().step(closure)
        return loss


class FriendlySAM(pytorch_optimizer.FriendlySAM):
    """Looks uphill in each step."""

    needs_closure = True

    def step(self, closure: Closure | None = None) -> Any:
        """One step; `closure` is called twice. Raises TypeError without one."""
        loss = _evaluated(self, closure)
        super().step(closure)
        return loss


class LookSAM(pytorch_optimizer.LookSAM):
    """Looks uphill in some steps. The library evaluates twice in all of them, which is what LookSAM is to save."""

    needs_closure = True

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """One step; `closure` is called twice in each `k`-th, else once. Raises TypeError without one."""
        loss = _evaluated(self, closure)
        step: int = self.get_step()  # type: ignore[no-untyped-call]
        if step % self.k == 0:
            self.first_step(zero_grad=True)
            _evaluated(self, closure)
        self.second_step()
        return loss


class WSAM(pytorch_optimizer.WSAM):
    """Looks uphill in each step. The library's class evaluates first itself; it wants the model for nothing else."""

    needs_closure = True

    def __init__(self, params: Any, base_optimizer: Any, **options: Any) -> None:
        super().__init__(nn.Module(), params, base_optimizer, **options)

    def step(self, closure: Closure | None = None) -> Any:
        """One step; `closure` is called twice. Raises TypeError without one."""
        _needed(self, closure)
        return super().step(closure)


def _evaluated(optimizer: torch.optim.Optimizer, closure: Closure | None) -> Any:
    with torch.enable_grad():
        return _needed(optimizer, closure)()


def _needed(optimizer: torch.optim.Optimizer, closure: Closure | None) -> Closure:
    if closure is None:
        raise TypeError(f"{type(optimizer).__name__} needs a closure that computes the gradients")
    return closure
