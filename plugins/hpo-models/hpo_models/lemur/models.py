"""How an exported file builds one of our models: one call of torchvision or timm, as those libraries have it.

What our own factories add for small images (`stem`, `hpo_models.small_maps`) is not in an exported file: LEMUR enlarges
images before a network sees them.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpo_core import Component
from hpo_models import resnets
from hpo_models.timm_models import timm_model
from hpo_models.torchvision_models import torchvision_model

# without the auxiliary classifiers, which want a loss of their own; told the size of the images where they must be
_ARGUMENTS = {
    "googlenet": ", aux_logits=False, init_weights=False",
    "inception_v3": ", aux_logits=False, init_weights=False",
    "maxvit_t": ", input_size=tuple(in_shape[2:])",
} | dict.fromkeys(
    ("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"), ", image_size=in_shape[2]"
)


@dataclass(frozen=True)
class Construction:
    """A Python expression over `in_shape` (N, C, H, W) and `out_shape` (classes,), and the library it calls."""

    library: str
    expression: str


def construction(name: str) -> Construction:
    """How to build the model of that name. Raises UsageError for one that these libraries do not have as it is.

    A name that is none is a StudyFileError that says what was probably meant.
    """
    from hpo_core.commands import UsageError, read_component

    library, architecture = origin(read_component("models", name))
    if library == "timm":
        return Construction(library, f"timm_model('{architecture}', in_shape, out_shape[0])")
    if library == "torchvision":
        arguments = f"weights=None, num_classes=out_shape[0]{_ARGUMENTS.get(architecture, '')}"
        return Construction(library, f"torchvision.models.{architecture}({arguments})")
    raise UsageError(f"'{name}' cannot be exported: it is not one call of torchvision or timm")


def origin(model: Component) -> tuple[str, str]:
    """The library of a model and its name there; neither for one that is our own or another plugin's."""
    build = model.trait("func", None)  # of a partial, with the architecture preset
    architecture = model.trait("keywords", {}).get("architecture", "")
    if build is timm_model:
        return "timm", architecture
    if build is torchvision_model:
        return "torchvision", architecture
    if getattr(build, "__module__", "") == resnets.__name__:
        return "torchvision", build.__name__
    return "", ""
