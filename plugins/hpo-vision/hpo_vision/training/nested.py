"""Nested Python values <-> (JSON, tensors): how a training's state is written without pickle, and read back exactly.

JSON holds the structure; each tensor in it becomes `{"$tensor": name}` and goes to a dictionary that safetensors can
write. What JSON would lose is marked in the same way: `$tuple`, `$float` (infinities and NaN), `$dict` (keys that are
not text), `$array` and `$scalar` (numpy's). Finite floats come back exactly: JSON has their shortest exact text.

Two references to the same tensor are stored once and come back as one tensor. A tensor comes back with the order of
its dimensions in memory (channels last, say), because kernels may round differently for another order; whether it
required a gradient does not come back. Anything else (an object, a function, a named tuple) is refused when it is
written, not when somebody needs it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Tensors = dict[str, Tensor]
# safetensors has no complex numbers of 128 bits
VIEWED = {torch.complex128: torch.float64}


def flatten(value: Any) -> tuple[Any, Tensors]:
    """A value of JSON types, and its tensors by name: where they are in `value`, joined by dots.

    The tensors are contiguous, and views of the given ones where possible: write them before those change. Called for
    each checkpoint. Raises TypeError, with the place, for a value that could not be read back.
    """
    writer = _Writer()
    return writer.write(value, ""), writer.tensors


def unflatten(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `flatten`. Raises KeyError with the name of a tensor that is missing."""
    return _Reader(tensors).read(tree)


class _Writer:
    """Collects the tensors of one value."""

    def __init__(self) -> None:
        self.tensors: Tensors = {}
        self._seen: dict[Any, Any] = {}  # what makes a tensor the same one -> how it was written
        self._storages: set[int] = (
            set()
        )  # of the collected tensors: safetensors wants each to have its own

    def write(self, value: Any, path: str) -> Any:
        """`value`, found at `path`, as JSON types."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if isinstance(value, dict):
            return self._dict(value, path)
        if type(value) in (list, tuple):
            items = [self.write(item, _join(path, index)) for index, item in enumerate(value)]
            return items if type(value) is list else {"$tuple": items}
        if isinstance(value, Tensor):
            return self._tensor(value.detach(), path)
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value, path)
        raise TypeError(f"{path or 'the value'} is of type {type(value).__name__}: cannot be saved")

    def _dict(self, value: dict[Any, Any], path: str) -> Any:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: self.write(item, _join(path, key)) for key, item in value.items()}
        pairs = [
            [self.write(key, f"{path} (a key)"), self.write(item, _join(path, key))]
            for key, item in value.items()
        ]
        return {"$dict": pairs}

    def _tensor(self, tensor: Tensor, path: str) -> Any:
        if tensor.layout is not torch.strided or tensor.is_quantized:
            raise TypeError(f"{path} is a sparse or quantized tensor: cannot be saved")
        place = (tensor.device, tensor.untyped_storage().data_ptr(), tensor.storage_offset())
        key = (*place, tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and key in self._seen:
            return self._seen[key]
        order = _memory_order(tensor)
        name = self._name(path)
        self.tensors[name] = self._alone(_storable(tensor.permute(order).contiguous()))
        found: dict[str, Any] = {"$tensor": name}
        if order != sorted(order):
            found["order"] = order
        if tensor.dtype in VIEWED:
            found["dtype"] = "complex128"
        self._seen[key] = found
        return found

    def _alone(self, tensor: Tensor) -> Tensor:
        """The tensor, or a copy where a part of its memory has been collected as another."""
        if tensor.untyped_storage().data_ptr() in self._storages and tensor.numel():
            tensor = tensor.clone()
        self._storages.add(tensor.untyped_storage().data_ptr())
        return tensor

    def _array(self, value: Any, path: str) -> Any:
        try:
            tensor = torch.from_numpy(np.array(value, order="C"))  # a copy: torch may own it
        except TypeError as error:
            raise TypeError(
                f"{path} is a numpy value of type {value.dtype}: cannot be saved"
            ) from error
        mark = "$array" if isinstance(value, np.ndarray) else "$scalar"
        return {mark: self._tensor(tensor, path)}

    def _name(self, path: str) -> str:
        """`path`, or with a number where keys such as 1 and "1" lead to the same."""
        name, count = path or "value", 1
        while name in self.tensors:
            count += 1
            name = f"{path}~{count}"
        return name


class _Reader:
    """Puts tensors back; those that were one are one."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._made: dict[str, Tensor] = {}

    def read(self, tree: Any) -> Any:
        """The value that `tree` was written for."""
        if isinstance(tree, list):
            return [self.read(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        mark = next(iter(tree), "")
        if not mark.startswith("$"):
            return {key: self.read(item) for key, item in tree.items()}
        if mark == "$tensor":
            return self._tensor(tree)
        return self._marked(mark, tree[mark])

    def _marked(self, mark: str, content: Any) -> Any:
        if mark == "$float":
            return float(content)
        if mark == "$tuple":
            return tuple(self.read(item) for item in content)
        if mark == "$dict":
            return {self.read(key): self.read(item) for key, item in content}
        if mark in ("$array", "$scalar"):
            array = self._tensor(content).numpy()
            return array if mark == "$array" else array[()]
        raise ValueError(f"'{mark}' means nothing here")

    def _tensor(self, found: dict[str, Any]) -> Tensor:
        name = found["$tensor"]
        if name not in self._made:
            tensor = self._tensors[name]
            if "dtype" in found:
                tensor = torch.view_as_complex(tensor)
            if "order" in found:
                order = found["order"]
                tensor = tensor.permute([order.index(place) for place in range(len(order))])
            self._made[name] = tensor
        return self._made[name]


def _memory_order(tensor: Tensor) -> list[int]:
    """The dimensions from the one with the largest stride to the smallest: permuted so, most tensors are contiguous."""
    dims = list(range(tensor.dim()))
    if tensor.is_contiguous():
        return dims
    strides = tensor.stride()
    return sorted(dims, key=lambda dim: -strides[dim])


def _storable(tensor: Tensor) -> Tensor:
    """A tensor as one that safetensors has a name for."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.dtype in VIEWED else tensor


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
