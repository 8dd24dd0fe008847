"""Any classification model of torchvision, built without a network.

torchvision's constructors differ in what they take. `hpo_models.torchvision_index` knows which options each of them
reads and presets the others, so that an option which a model lacks is no option of it: a study that searched it would
find that it does not matter. Images of other channels than 3 get a first convolution of their own; it then starts
random even where the rest starts from `weights`.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from hpo_core import InputShape
from hpo_models.sizes import ANY, Sizes
from hpo_models.torchvision_index import Line
from hpo_models.weights import Weights

OPTIONS = ("dropout", "attention_dropout", "stochastic_depth_prob", "drop_rate")
"""What some constructors take besides the number of classes and of pixels."""

# without the auxiliary classifiers, which want a loss of their own, and the slow initial values that go with them
_PLAIN = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}


def torchvision_factory(line: Line) -> Any:
    """The factory to register for a model, with what is known of it as attribute and docstring."""
    factory: Any = torchvision_preset(line)
    factory.sizes = line.sizes
    factory.__doc__ = f"torchvision's {line.name}; {line.sizes.words}."
    return factory


def torchvision_preset(line: Line) -> partial[Any]:
    """`torchvision_model` with all preset that a model does not leave open."""
    lacking: dict[str, Any] = {option: None for option in OPTIONS if option not in line.options}
    return partial(torchvision_model, architecture=line.name, sizes=line.sizes, **lacking)


def torchvision_model(
    shape: InputShape,
    *,
    architecture: str,
    sizes: Sizes = ANY,
    dropout: Annotated[
        float | None,
        Field(ge=0, lt=1, description="Dropout of the classifier; null: torchvision's."),
    ] = None,
    attention_dropout: Annotated[
        float | None, Field(ge=0, lt=1, description="Dropout of attention; null: torchvision's.")
    ] = None,
    stochastic_depth_prob: Annotated[
        float | None, Field(ge=0, lt=1, description="Stochastic depth; null: torchvision's.")
    ] = None,
    drop_rate: Annotated[
        float | None,
        Field(ge=0, lt=1, description="Dropout after each dense layer; null: torchvision's."),
    ] = None,
    weights: Weights = None,
) -> Any:
    """A torchvision model of `shape.channels` inputs and `shape.classes` outputs.

    Called by an objective once per trial; `architecture` and `sizes` are preset for each name. Raises ValueError for
    images that the model cannot take, an option that it lacks, and weights that are not there or do not fit.
    """
    name = f"torchvision/{architecture}"
    sizes.check(name, shape)
    given = dict(
        zip(OPTIONS, (dropout, attention_dropout, stochastic_depth_prob, drop_rate), strict=True)
    )
    options = {option: value for option, value in given.items() if value is not None}
    model = _constructed(name, architecture, shape, options)
    if shape.channels != 3:
        _adapt_first_layer(model, shape.channels)
    if weights is not None:
        from hpo_models import _pretrained

        _pretrained.load_torchvision(model, architecture, weights, shape.classes)
    return model


def _constructed(name: str, architecture: str, shape: InputShape, options: dict[str, Any]) -> Any:
    from torchvision import models

    preset = {"weights": None, "num_classes": shape.classes} | _PLAIN.get(architecture, {})
    try:
        model = models.get_model(
            architecture, **preset, **_size(name, architecture, shape), **options
        )
    except TypeError as error:
        refused = next((option for option in options if f"'{option}'" in str(error)), None)
        if refused is None:
            raise
        raise _lacks(name, refused) from error
    for option in options:
        if not _reads(type(model), option):
            raise _lacks(name, option)
    return model


def _size(name: str, architecture: str, shape: InputShape) -> dict[str, Any]:
    """How a constructor is told the size of the images, where it wants to know."""
    if architecture.startswith("vit_"):
        Sizes(square=True).check(name, shape)
        return {"image_size": shape.height}
    return {"input_size": (shape.height, shape.width)} if architecture == "maxvit_t" else {}


def _reads(model: type, option: str) -> bool:
    """Whether a network's own constructor names the option; some swallow what they do not know."""
    import inspect

    return option in inspect.signature(model).parameters


def _lacks(name: str, option: str) -> ValueError:
    return ValueError(f"the model '{name}' has no {option}: leave it out")


def _adapt_first_layer(model: Any, channels: int) -> None:
    """Give the first convolution another number of input channels, and fresh weights."""
    from torch import nn

    convolutions = (each for each in model.named_modules() if isinstance(each[1], nn.Conv2d))
    old: Any
    name, old = next(convolutions)
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,
        old.stride,
        old.padding,
        bias=old.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    model.set_submodule(name, new)
