"""The plugin `torch`: optimizers, losses and LR schedulers for PyTorch under the names that study files use.

Every factory is registered by its dotted path and imports torch in its body, so that checking a study file needs no
torch. The optimizers of torch, pytorch_optimizer and timm stand in an index that is shipped (`named_optimizers`).
"""

from __future__ import annotations

from hpo_core import Register, hookimpl
from hpo_torch.lr_schedulers import catalogue
from hpo_torch.named_optimizers import index


@hookimpl
def register_optimizers(register: Register) -> None:
    """Offer the optimizers."""
    register("sgd", "hpo_torch.optimizers:sgd")
    register("adamw", "hpo_torch.optimizers:adamw")
    register("sam", "hpo_torch.sharpness:sam")
    register("looksam", "hpo_torch.sharpness:looksam")
    register("friendlysam", "hpo_torch.sharpness:friendlysam")
    register("wsam", "hpo_torch.sharpness:wsam")
    for name in index():
        register(name, f"hpo_torch.named_optimizers:{name}")


@hookimpl
def register_losses(register: Register) -> None:
    """Offer the losses."""
    register("cross-entropy", "hpo_torch.losses:cross_entropy")
    register("soft-target", "hpo_torch.losses:soft_target")
    register("focal", "hpo_torch.losses:focal")
    register("adaptive-focal", "hpo_torch.losses:adaptive_focal")
    register("logit-adjustment", "hpo_torch.losses:logit_adjustment")
    register("ldam", "hpo_torch.losses:ldam")
    register("composite", "hpo_torch.losses:composite")


@hookimpl
def register_lr_schedulers(register: Register) -> None:
    """Offer the LR schedulers, each under its number and its name."""
    for name, path in catalogue.offers():
        register(name, path)


@hookimpl
def register_commands(register: Register) -> None:
    """Offer `hpo lr-schedulers`."""
    register("lr-schedulers", "hpo_torch.commands:app")
