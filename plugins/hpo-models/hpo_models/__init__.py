"""The plugin `models`: architectures from torchvision and timm.

The names of timm's models come from an index file and not from timm, which takes seconds to import: `hpo list models`
and `hpo validate` know them all without it.
"""

from __future__ import annotations

from functools import partial

from hpo_core import Register, hookimpl
from hpo_models.timm_index import names
from hpo_models.timm_models import timm_model


@hookimpl
def register_models(register: Register) -> None:
    """Offer the ResNets of torchvision, and every model of timm as `timm/NAME`."""
    for name in ("resnet18", "resnet34", "resnet50"):
        register(name, f"hpo_models.resnets:{name}")
    for name in names():
        register(f"timm/{name}", partial(timm_model, architecture=name))
