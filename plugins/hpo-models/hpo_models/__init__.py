"""The plugin `models`: architectures by name, and every model of torchvision and timm.

The names of the libraries' models come from index files and not from the libraries, which take seconds to import:
`hpo list models` and `hpo validate` know them all without.
"""

from __future__ import annotations

from hpo_core import Register, hookimpl
from hpo_models import timm_index, torchvision_index
from hpo_models.timm_models import timm_factory
from hpo_models.torchvision_models import torchvision_factory
from hpo_models.zoo import ZOO


@hookimpl
def register_models(register: Register) -> None:
    """Offer the architectures of the table, and the libraries' as `torchvision/NAME` and `timm/NAME`."""
    register("multi-input", "hpo_models.multi_input:multi_input")
    register("lora", "hpo_models.adapters:lora")
    for architecture in ZOO:
        factory = architecture.factory()
        register(architecture.name, factory)
        # a tier is a choice of models, each of which is to be in it once
        register(architecture.plain, factory, tier=architecture.tier)
    for line in torchvision_index.lines().values():
        register(f"torchvision/{line.name}", torchvision_factory(line))
    for name in timm_index.names():
        register(f"timm/{name}", timm_factory(name))


@hookimpl
def register_commands(register: Register) -> None:
    """Offer `hpo models describe` and `hpo models merge`."""
    register("models describe", "hpo_models.commands:describe")
    register("models merge", "hpo_models.commands:merge")
    register("models export-lemur", "hpo_models.lemur.commands:export_lemur")
    register("models import-lemur", "hpo_models.lemur.commands:import_lemur")


@hookimpl
def register_objectives(register: Register) -> None:
    """Offer the training of networks that are written for LEMUR."""
    register("lemur", "hpo_models.lemur.objective:lemur")
