"""Optimizers of torch, pytorch_optimizer and timm under their own names, from what `optimizers.json` says of them.

A study file is checked without importing any of these libraries, so their signatures are shipped as data (see
`hpo_torch.optimizer_index`), and a factory with such a signature is made when its name is first used: an attribute of
this module, `hpo_torch.named_optimizers:timm/lion`.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field

from hpo_core import Float, PluginError
from hpo_torch.optimizers import Decay, Lr

INDEX = Path(__file__).with_name("optimizers.json")

Row = TypedDict(
    "Row",
    {
        "library": str,
        "class": str,
        "fixed": dict[str, Any],  # arguments that no option sets
        "summary": str,
        "options": list[list[Any]],  # [name, type in a word, default, description]
    },
)

DISTRIBUTIONS = {"torch": "torch", "pytorch_optimizer": "pytorch-optimizer", "timm": "timm"}

DESCRIPTIONS = {
    "momentum": "Decay rate of the running mean of gradients.",
    "betas": "Decay rates of the running means.",
    "eps": "Added to a denominator, to keep it from zero.",
    "nesterov": "Nesterov's momentum.",
    "dampening": "How much less of a new gradient enters the momentum.",
    "weight_decouple": "Decay the weights themselves and not through the gradient.",
    "decoupled_decay": "Decay the weights themselves and not through the gradient.",
    "fixed_decay": "Decay by the weight decay alone, whatever the learning rate.",
    "caution": "Skip what an update would do against the sign of the gradient.",
    "amsgrad": "Divide by the largest running mean so far.",
    "ams_bound": "Divide by the largest running mean so far.",
    "rho": "Decay rate of the running mean of squared gradients.",
    "corrected_weight_decay": "Scale the decay with the square of the learning rate.",
}


@functools.cache
def index() -> dict[str, Row]:
    """What is on offer, by the names in study files."""
    found: dict[str, Row] = json.loads(INDEX.read_text(encoding="utf-8"))
    return found


def __getattr__(name: str) -> Callable[..., Any]:
    """The factory of the optimizer `name`. Raises PluginError when its library is not installed."""
    if name.startswith("__") or name not in index():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    row = index()[name]
    if find_spec(row["library"]) is None:
        raise PluginError(
            f"it is one of {row['library']}'s, which is not installed: "
            f"pip install {DISTRIBUTIONS[row['library']]}"
        )
    return factory(name)


@functools.cache
def factory(name: str) -> Callable[..., Any]:
    """Builds an optimizer from parameters and options that are those of its class."""
    row = index()[name]

    def build(params: Any, **options: Any) -> Any:
        return _class(row)(params, **row["fixed"], **options)

    annotations = {option[0]: _annotation(row, *option) for option in _options(row)}
    build.__annotations__ = annotations
    build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # inspect's own protocol
        [inspect.Parameter("params", inspect.Parameter.POSITIONAL_ONLY)]
        + [
            inspect.Parameter(
                option,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=annotations[option],
            )
            for option, _, default, _ in _options(row)
        ]
    )
    build.__doc__ = f"{row['summary']}\n\nCalls `{row['library']}`'s `{row['class']}`."
    return build


def _class(row: Row) -> Callable[..., Any]:
    if row["library"] == "timm":
        from timm.optim import get_optimizer_class  # type: ignore[attr-defined]  # exported, not in so many words

        found: Callable[..., Any] = get_optimizer_class(row["class"])
    elif row["library"] == "torch":
        import torch.optim

        found = getattr(torch.optim, row["class"])
    else:
        import pytorch_optimizer

        found = getattr(pytorch_optimizer, row["class"])
    return found


def _options(row: Row) -> list[tuple[str, str, Any, str]]:
    """(name, type in a word, default, description) of each option."""
    return [
        (name, shape, tuple(default) if isinstance(default, list) else default, told)
        for name, shape, default, told in row["options"]
    ]


def _annotation(row: Row, name: str, shape: str, default: Any, told: str) -> Any:
    """The type of an option with its bounds, as `hpo_core.options` reads it."""
    if name == "lr" and shape == "float":
        return Annotated[Lr, Float(default / 100, min(10 * default, 100.0), log=True)]
    if name == "weight_decay" and shape == "float":
        return Decay
    description = (
        DESCRIPTIONS.get(name) or told or f"As {row['library']}'s {row['class']} takes it."
    )
    bare = shape.removesuffix(" or null")
    kind: Any
    if bare.startswith("one of "):
        kind = Literal[tuple(bare.removeprefix("one of ").split())]
    elif bare.endswith(" floats"):
        kind = tuple[tuple(_number(name, item) for item in default)]  # type: ignore[misc]
    else:
        kind = {"bool": bool, "int": int, "float": float}[bare]
    if shape.endswith(" or null"):
        kind = kind | None
    return Annotated[kind, Field(description=description, **_bounds(name, bare, default))]


def _number(name: str, default: float) -> Any:
    return Annotated[float, Field(**_bounds(name, "float", default))]


def _bounds(name: str, shape: str, default: Any) -> dict[str, Any]:
    """What is known of an option's range by its name."""
    if shape == "int" and default is not None and default >= 0:
        return {"ge": min(default, 1)}
    if shape != "float":
        return {}
    if name.startswith("eps"):
        return {"ge": 0, "le": 1}
    if name == "lr" or name.endswith("_lr"):
        return {"ge": 0, "le": 100}
    if name in ("momentum", "betas", "beta", "dampening", "nus"):
        return (
            {"ge": 0, "le": 1}
            if default == 1 or name in ("dampening", "nus")
            else {"ge": 0, "lt": 1}
        )
    return {"allow_inf_nan": False}
