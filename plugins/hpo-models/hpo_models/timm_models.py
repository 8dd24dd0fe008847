"""Any model of timm, built without a network.

timm's constructors differ in what they take. The size of the image is given to those that want it (transformers with
position embeddings); an option that a model lacks is an error instead of being dropped, because a study that searches
an option which nothing reads would find that it does not matter.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from hpo_core import InputShape
from hpo_models.sizes import ANY, Sizes
from hpo_models.weights import Weights


def timm_factory(name: str) -> Any:
    """The factory of a model: `timm_model` with its name preset."""
    factory: Any = partial(timm_model, architecture=name, sizes=ANY)
    factory.__doc__ = f"timm's {name}."
    return factory


def timm_model(
    shape: InputShape,
    *,
    architecture: str,
    sizes: Sizes = ANY,
    drop_rate: Annotated[
        float | None, Field(ge=0, lt=1, description="Dropout before the classifier; null: timm's.")
    ] = None,
    drop_path_rate: Annotated[
        float | None, Field(ge=0, lt=1, description="Stochastic depth; null: timm's.")
    ] = None,
    weights: Weights = None,
) -> Any:
    """A timm model of `shape.channels` inputs and `shape.classes` outputs. Called by an objective once per trial.

    `architecture` and `sizes` are preset for each name that the plugin registers. Raises ValueError for an option that
    the model does not take, images that it cannot take, where that is known, and weights that are not there or do not
    fit.
    """
    sizes.check(f"timm/{architecture}", shape)
    given = {"drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    model = _constructed(architecture, shape, wanted)
    if weights is not None:
        from hpo_models import _pretrained

        _pretrained.load_timm(model, architecture, weights, shape.classes)
    return model


def _constructed(architecture: str, shape: InputShape, wanted: dict[str, Any]) -> Any:
    import timm

    sized = {"img_size": (shape.height, shape.width)} | wanted
    channels: dict[str, Any] = {"in_chans": shape.channels, "num_classes": shape.classes}
    for options in (sized, wanted):
        try:
            return timm.create_model(architecture, pretrained=False, **channels, **options)
        except TypeError as error:
            refused = _refused(error)
            if refused != "img_size":
                raise _explained(error, architecture, refused, wanted) from error
    raise AssertionError("timm refused img_size where none was given")


def _refused(error: TypeError) -> str | None:
    """The keyword that a constructor did not know: Python's own message ends with it in quotes."""
    text = str(error)
    return text.rsplit("'", 2)[1] if "unexpected keyword argument" in text else None


def _explained(
    error: TypeError, architecture: str, refused: str | None, wanted: dict[str, Any]
) -> Exception:
    if refused in wanted:
        return ValueError(f"the model 'timm/{architecture}' has no {refused}: leave it out")
    return error
