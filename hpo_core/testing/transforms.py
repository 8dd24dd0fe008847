"""Looks for random transformations in what a dataset's part is made of.

A part that trials are judged by shows the same images each time, so nothing random may touch them. That two passes are
equal does not prove it, for a transformation may act rarely: so the objects behind a part are gone through one by one.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

RANDOM = frozenset(
    {
        "AugMix",
        "AutoAugment",
        "ColorJitter",
        "CutMix",
        "ElasticTransform",
        "GaussianBlur",
        "GaussianNoise",
        "JPEG",
        "MixUp",
        "RandAugment",
        "ScaleJitter",
        "TrivialAugmentWide",
    }
)
"""Transformations of torchvision that are random, and are not called Random..."""

_MOST = 100_000  # objects that are gone through


def random_transforms(root: Any) -> list[str]:
    """The names of the random transformations that can be reached from an object, with their modules, sorted.

    Reached through attributes, containers, closures, bound methods, partials, and the names that a function refers to.
    A transformation is an object of a class called Random... or as in RANDOM, from a module with `transform` or
    `augment` in its name.
    """
    return sorted({_name(found) for found in _reachable(root) if _is_random(type(found))})


def _is_random(kind: type) -> bool:
    names = [(each.__name__, each.__module__) for each in kind.__mro__]
    return any(
        (name.startswith("Random") or name in RANDOM)
        and ("transform" in module or "augment" in module)
        for name, module in names
    )


def _name(found: Any) -> str:
    return f"{type(found).__module__}.{type(found).__name__}"


_LIBRARIES = sys.stdlib_module_names | {"PIL", "numpy", "sklearn", "torch", "torchvision"}


def _reachable(root: Any) -> Iterator[Any]:
    seen: dict[int, Any] = {}  # the objects too: an id is reused when its object is gone
    waiting = [root]
    while waiting and len(seen) < _MOST:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, _LEAVES):
            continue
        seen[id(found)] = found
        yield found
        waiting.extend(_inside(found))


_LEAVES = (types.ModuleType, type, str, bytes, int, float, complex, type(None))


def _inside(found: Any) -> Iterable[Any]:
    """What an object refers to."""
    if isinstance(found, dict):
        return _some(found.values())
    if isinstance(found, list | tuple | set | frozenset):
        return _some(found)
    if isinstance(found, functools.partial):
        return [found.func, *found.args, *found.keywords.values()]
    if isinstance(found, types.MethodType):
        return [found.__self__, found.__func__]
    if isinstance(found, types.FunctionType):
        return [] if _foreign(found) else list(_of_function(found))
    kinds = type(found).__mro__
    slots = [getattr(found, name, None) for kind in kinds for name in _slots(kind)]
    methods = [item for kind in kinds if not _foreign(kind) for item in vars(kind).values()]
    return [*getattr(found, "__dict__", {}).values(), *slots, *methods]


def _foreign(found: Any) -> bool:
    """Whether a class or function is of a library: what those refer to is not what a dataset is made of."""
    return str(found.__module__).partition(".")[0] in _LIBRARIES


def _some(found: Any) -> list[Any]:
    """The elements of a container; of a long one the first, for a list of a million labels is all the same."""
    return [item for _, item in zip(range(1000), found, strict=False)]


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _of_function(found: types.FunctionType) -> Iterator[Any]:
    yield from (cell.cell_contents for cell in found.__closure__ or () if _filled(cell))
    yield from found.__defaults__ or ()
    yield from (found.__kwdefaults__ or {}).values()
    yield getattr(found, "__wrapped__", None)
    yield from (
        found.__globals__[name] for name in found.__code__.co_names if name in found.__globals__
    )


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # raises where there is none
    except ValueError:
        return False
    return True
