"""The plugin `torch`: optimizers and LR schedulers of PyTorch under the names that study files use.

Every factory is registered by its dotted path and imports torch in its body, so that checking a study file needs no
torch.
"""

from __future__ import annotations

from hpo_core import Register, hookimpl


@hookimpl
def register_optimizers(register: Register) -> None:
    """Offer the optimizers."""
    register("sgd", "hpo_torch.optimizers:sgd")
    register("adamw", "hpo_torch.optimizers:adamw")


@hookimpl
def register_lr_schedulers(register: Register) -> None:
    """Offer the LR schedulers."""
    register("constant", "hpo_torch.lr_schedulers:constant")
    register("cosine", "hpo_torch.lr_schedulers:cosine")
    register("one-cycle", "hpo_torch.lr_schedulers:one_cycle")
    register("step", "hpo_torch.lr_schedulers:step")
