"""Any model of timm, built without a network: weights are random.

timm's constructors differ in what they take. The size of the image is given to those that want it (transformers with
position embeddings); an option that a model lacks is an error instead of being dropped, because a study that searches
an option which nothing reads would find that it does not matter.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import InputShape


def timm_model(
    shape: InputShape,
    *,
    architecture: str,
    drop_rate: Annotated[
        float | None, Field(ge=0, lt=1, description="Dropout before the classifier; null: timm's.")
    ] = None,
    drop_path_rate: Annotated[
        float | None, Field(ge=0, lt=1, description="Stochastic depth; null: timm's.")
    ] = None,
) -> Any:
    """A timm model of `shape.channels` inputs and `shape.classes` outputs. Called by an objective once per trial.

    `architecture` is preset for each name that the plugin registers. Raises ValueError for an option that the model
    does not take.
    """
    import timm

    given = {"drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
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
