"""The LR scheduler `knee` (Iyer et al. 2023): explore at the full rate, then exploit."""

from typing import Annotated

from pydantic import Field

from hpo_core import Float, hookimpl

Until = Annotated[float, Field(ge=0, lt=1, description="part of the run"), Float(0.2, 0.8)]


def knee(optimizer, total, *, until: Until = 0.5):
    """eta = eta_0 * min(1, (T - t) / (T - until * T))."""
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, lambda t: min(1.0, (total - t) / (total - until * total)))


@hookimpl
def register_lr_schedulers(register):
    register("knee", knee)
