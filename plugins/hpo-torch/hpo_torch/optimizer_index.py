"""Writes `optimizers.json`: which optimizers of torch, pytorch_optimizer and timm there are, and with which options.

::

    python -m hpo_torch.optimizer_index

The options of an optimizer are the arguments of its class, and to ask a class is to import torch, which checking a
study file must not do. So they are read once, here, and shipped; a test compares the file with the installed
libraries. Not taken over are arguments that no study file could hold (functions, types, infinity) and those that choose
an implementation and not an algorithm (`foreach`, `fused`): they keep the library's default.

`LEFT_OUT` names every optimizer that is not offered, with the reason.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hpo_torch.named_optimizers import INDEX, Row

TORCH = (
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam",
    "RMSprop", "Rprop", "SGD",
)  # fmt: skip
OWN = ("adamw", "sgd")
"""Written by hand in `hpo_torch.optimizers`."""

_MATRICES = "takes matrices only, or wants them told from the rest"
_HESSIAN = "needs second derivatives"
_MODES = "has other weights in training than in evaluation"
_STATE = "its state cannot be stored without pickle"
_RATE = "has no learning rate that an LR scheduler could set"
_FUSED = "updates while gradients are computed"
_PACKAGE = "needs a package that is not among the requirements"
_FAILS = "fails at its defaults"

LEFT_OUT: dict[str, str] = {
    "torch:LBFGS": "evaluates many times in a step, and takes no groups",
    "torch:Muon": _MATRICES,
    "torch:SparseAdam": "takes sparse gradients only",
    **{f"pytorch_optimizer:{name}": reason for reason, names in {
        _MATRICES: "adago adamuon distributedmuon muon muonclip normuon spectralsphere lorarite",
        _HESSIAN: "adahessian sophiah",
        _MODES: "schedulefreeadamw schedulefreeradam schedulefreesgd splus",
        _STATE: "adashift aggmo conda kron magma rose scalableshampoo",
        _RATE: "a2grad alig",
        _FUSED: "adalomo lomo",
        _PACKAGE: "demo",
        _FAILS: "asgd gravity shampoo",
        "wants the model and not its parameters": "adammini",
        "needs the number of training images": "bsam",
        "trains only the weights that are nearly zero": "sara",
        "is torch's own": "adam adamw lbfgs nadam rmsprop sgd",
    }.items() for name in names.split()},
    **{f"timm:{name}": reason for reason, names in {
        _HESSIAN: "adahessian",
        _STATE: "adafactorbv adafactorbvc cadafactorbv cadafactorbvc",
        _PACKAGE: "kron kronc kronw "
        "bnbadam bnbadam8bit bnbadamw bnbadamw8bit bnbademamix bnbademamix8bit bnblion bnblion8bit "
        "bnbsgd bnbsgd8bit fusedadam fusedadamw fusedlamb fusednovograd fusedsgd",
    }.items() for name in names.split()},
}  # fmt: skip

IMPLEMENTATION = {
    "params", "foreach", "fused", "capturable", "differentiable", "maximize", "kwargs", "bf16_sr",
    "verbose",
}  # fmt: skip

FLOATS = {"weight_decay", "momentum", "dampening", "eps"}
"""What is a number that need not be whole, though its default is 0 and it has no annotation."""


def rows() -> Iterator[tuple[str, Row]]:
    """The name of each optimizer on offer, and how it is built. Imports torch, pytorch_optimizer and timm."""
    import torch.optim

    for name in TORCH:
        if name.lower() not in OWN:
            yield name.lower(), _row("torch", name, getattr(torch.optim, name))
    yield from _pytorch_optimizer({name.lower() for name in TORCH})
    yield from _timm()


def _pytorch_optimizer(taken: set[str]) -> Iterator[tuple[str, Row]]:
    from pytorch_optimizer.optimizer import OPTIMIZERS

    for name, cls in sorted(OPTIMIZERS.items()):
        if f"pytorch_optimizer:{name}" not in LEFT_OUT:
            fixed: dict[str, Any] = {}
            if name == "ranger21":  # its own LR schedule is off: the study has one
                fixed = {"num_iterations": 1, "disable_lr_scheduler": True}
            offered = f"pytorch-optimizer/{name}" if name in taken else name
            row = _row("pytorch_optimizer", cls.__name__, cls, fixed=fixed)
            yield offered, row


def _timm() -> Iterator[tuple[str, Row]]:
    from timm.optim import get_optimizer_info, list_optimizers  # type: ignore[attr-defined]  # exported, not in so many words

    for name in map(str, list_optimizers()):
        if f"timm:{name}" in LEFT_OUT:
            continue
        info = get_optimizer_info(name)
        usual = {"lr": 1e-3, **({"momentum": 0.9} if info.has_momentum else {})}
        row = _row("timm", name, info.opt_class, usual, info.defaults)
        row["summary"] = info.description
        yield f"timm/{name}", row


def _row(
    library: str,
    name: str,
    cls: Any,
    usual: Mapping[str, Any] | None = None,
    preset: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Row:
    """`usual` stands in for a default that is missing or zero, `preset` for any, `fixed` for what is no option."""
    doc = inspect.getdoc(cls) or name
    told, left = _told(doc), IMPLEMENTATION | set(fixed or {})
    options = []
    for parameter in inspect.signature(cls).parameters.values():
        default = (preset or {}).get(parameter.name, parameter.default)
        if type(default) not in (int, float, bool) or default == 0:
            default = (usual or {}).get(parameter.name, default)
        shape = _shape(parameter.name, parameter.annotation, default)
        if shape is not None and parameter.name not in left:
            options.append([parameter.name, shape, default, told.get(parameter.name, "")])
    return {
        "library": library,
        "class": name,
        "fixed": dict(fixed or {}),
        "summary": doc.split("\n")[0],
        "options": options,
    }


def _shape(name: str, annotation: Any, default: Any) -> str | None:
    """The type of an option in a word, or None when a study file could not hold it.

    Types are read off the default where there is one, since not every class has annotations.
    """
    if typing.get_origin(annotation) is Literal:
        return "one of " + " ".join(typing.get_args(annotation))
    if isinstance(default, float) and not math.isfinite(default):
        return None
    names = _names(annotation)
    null = " or null" if default is None else ""
    if isinstance(default, bool):
        return "bool"
    if type(default) is tuple and default and all(type(item) in (int, float) for item in default):
        return f"{len(default)} floats"
    if type(default) is int and "float" not in names and name not in FLOATS:
        return "int"
    if type(default) in (int, float) or (default is None and "float" in names):
        return "float" + null
    if default is None and "int" in names:
        return "int" + null
    return None


def _names(annotation: Any) -> set[str]:
    """The names of the types that an argument may have; those within tuples do not count."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    members = typing.get_args(annotation) if union else (annotation,)
    return {getattr(member, "__name__", str(member)) for member in members}


def _told(doc: str) -> dict[str, str]:
    """What a docstring in Google's style says of each argument, in one sentence."""
    _, _, arguments = doc.partition("Args:\n")
    found = re.findall(r"^    (\w+)(?: \(.*?\))?: (.+(?:\n {8,}.+)*)", arguments, re.MULTILINE)
    return {name: _sentence(text) for name, text in found}


def _sentence(text: str) -> str:
    flat = re.sub(r"\s*\(default:.*?\)", "", " ".join(text.split())).replace("`", "")
    first = re.split(r"(?<=[a-z)])\. ", flat)[0].rstrip(".")
    return first[:1].upper() + first[1:] + "."


def text() -> str:
    """The file's content: one optimizer a line."""
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    INDEX.write_text(text(), encoding="utf-8")
