"""Plain values (numbers, text, tensors, and lists, tuples and mappings of these) <-> JSON and safetensors, no pickle.

In JSON a tensor is `{"$tensor": name}`, a tuple `{"$tuple": [...]}`, a mapping `{"$dict": [[key, value], ...]}`, for
keys may be numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
SCALARS = (type(None), bool, int, float, str)


def is_plain(value: Any) -> bool:
    """Whether a value can be written."""
    if isinstance(value, dict):
        return all(type(key) in SCALARS and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in value)
    return isinstance(value, Tensor) or type(value) in SCALARS


def written(value: Any) -> tuple[Any, Tensors]:
    """A value of JSON types, and its tensors by name. Raises TypeError, with the place, for what is not plain."""
    tensors: Tensors = {}
    return _written(value, "", tensors), tensors


def read(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `written`, on the CPU. Raises KeyError for a tensor that is missing."""
    if isinstance(tree, list):
        return [read(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    [(mark, content)] = tree.items()
    if mark == "$tensor":
        return tensors[content].clone()  # memory of its own: the file may be deleted
    if mark == "$tuple":
        return tuple(read(item, tensors) for item in content)
    return {key: read(item, tensors) for key, item in content}


def copied(value: Any) -> Any:
    """A plain value that later changes in place do not reach."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [copied(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _written(value: Any, place: str, tensors: Tensors) -> Any:
    if type(value) in SCALARS:
        return value
    if isinstance(value, Tensor):
        name = place or "value"
        # a copy: safetensors wants no two tensors in the same memory
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"$tensor": name}
    if isinstance(value, dict):
        pairs = [[key, _written(item, f"{place}.{key}", tensors)] for key, item in value.items()]
        if any(type(key) not in SCALARS for key in value):
            raise TypeError(f"'{place[1:]}' has keys that cannot be saved")
        return {"$dict": pairs}
    if isinstance(value, list | tuple):
        items = [_written(item, f"{place}.{index}", tensors) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise TypeError(f"'{place[1:]}' is of type {type(value).__name__}, which cannot be saved")
