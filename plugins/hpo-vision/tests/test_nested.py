"""Structures to JSON and tensors and back, through the files."""

from __future__ import annotations

import json
import math
import random
import struct
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hpo_vision.training.nested import flatten, unflatten
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.uint16,
    torch.int32,
    torch.uint32,
    torch.int64,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.text() | st.integers() | st.booleans() | st.none() | st.tuples(st.integers())
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(st.sampled_from(["$tensor", "$dict", "a"]), inner)
    ),
    max_leaves=12,
)


def through_files(value: Any, folder: Path) -> Any:
    tree, tensors = flatten(value)
    save_file(tensors, folder / "tensors.safetensors")
    text = json.dumps(tree, allow_nan=False)
    return unflatten(json.loads(text), load_file(folder / "tensors.safetensors"))


def exact(value: Any) -> Any:
    """What tells values apart that == does not: 1, 1.0 and True; 0.0 and -0.0; NaN and itself."""
    if isinstance(value, dict):
        return dict, [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [exact(item) for item in value]
    if isinstance(value, float):
        return float, "nan" if math.isnan(value) else struct.pack("d", value)
    return type(value), value


@given(TREES)
def test_plain_values_come_back_exactly(tree: Any) -> None:
    written, tensors = flatten(tree)
    assert not tensors
    assert exact(unflatten(json.loads(json.dumps(written, allow_nan=False)), {})) == exact(tree)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3, 2, 2)], ids=str)
def test_tensors_of_every_type(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
    size = torch.empty(0, dtype=dtype).element_size()
    count = math.prod(shape)
    raw = torch.randint(0, 2 if dtype is torch.bool else 256, (count * size,), dtype=torch.uint8)
    tensor = raw.view(dtype).reshape(shape)
    found = through_files({"t": tensor, 3: (tensor,)}, tmp_path)["t"]
    assert found.dtype is dtype and found.shape == tensor.shape
    assert torch.equal(found.contiguous().view(-1).view(torch.uint8), raw)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24.0).reshape(2, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(120).reshape(2, 3, 4, 5).permute(3, 0, 2, 1),
        torch.arange(6.0).to(torch.complex128).reshape(2, 3).T,
    ],
)
def test_the_order_in_memory_comes_back(tensor: torch.Tensor, tmp_path: Path) -> None:
    found = through_files(tensor, tmp_path)
    assert torch.equal(found, tensor) and found.stride() == tensor.stride()


@pytest.mark.parametrize(
    "tensor",
    [torch.arange(10)[::3], torch.zeros(1, 1).expand(3, 4), torch.arange(12).reshape(3, 4)[:, 1:3]],
)
def test_views_with_gaps_come_back_without(tensor: torch.Tensor, tmp_path: Path) -> None:
    assert torch.equal(through_files(tensor, tmp_path), tensor)


def test_one_tensor_stays_one(tmp_path: Path) -> None:
    weight = torch.randn(3, 3)
    value = {"a": weight, "b": [weight, torch.nn.Parameter(weight)], "c": weight[:2], "d": weight.T}
    assert (
        len(flatten(value)[1]) == 3
    )  # a view of a part and a transposed one are stored by themselves
    found = through_files(value, tmp_path)
    assert found["a"] is found["b"][0] and found["a"] is found["b"][1]
    assert torch.equal(found["c"], weight[:2]) and torch.equal(found["d"], weight.T)


def test_keys_that_look_alike_do_not_collide(tmp_path: Path) -> None:
    value = {1: torch.zeros(1), "1": torch.ones(1), "a.b": torch.ones(2), "a": {"b": torch.ones(3)}}
    found = through_files(value, tmp_path)
    assert list(found) == list(value) and found["1"].item() == 1 and found[1].item() == 0
    assert len(found["a.b"]) == 2 and len(found["a"]["b"]) == 3


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.1),
        np.float32("nan"),
        np.int16(-3),
        np.bool_(True),
        np.arange(6, dtype=np.uint32).reshape(2, 3).T,
        np.random.default_rng(1).standard_normal((2, 0)),
        np.array(2.5),
    ],
    ids=repr,
)
def test_numpy_values(value: Any, tmp_path: Path) -> None:
    found = through_files([value], tmp_path)[0]
    assert type(found) is type(value) and found.dtype == value.dtype and found.shape == value.shape
    assert found.tobytes() == value.tobytes()


def test_generators_states(tmp_path: Path) -> None:
    state = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
    }
    found = through_files(state, tmp_path)
    random.setstate(found["python"])
    np.random.set_state(found["numpy"])
    torch.set_rng_state(found["torch"])
    assert random.getstate() == state["python"]
    assert torch.equal(torch.get_rng_state(), state["torch"])


Pair = namedtuple("Pair", "a b")  # refused


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": [object()]}, r"a\.0 is of type object"),
        ({"a": Pair(1, 2)}, "a is of type Pair"),
        ({"a": {print: 1}}, r"a \(a key\) is of type builtin_function"),
        ({"a": {1, 2}}, "a is of type set"),
        ({"a": np.array(["x"])}, "a is a numpy value of type <U1"),
        (torch.eye(2).to_sparse(), "sparse"),
    ],
    ids=["object", "tuple", "key", "set", "text", "sparse"],
)
def test_what_could_not_be_read_back_is_refused(value: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        flatten(value)


def test_a_missing_tensor_is_named() -> None:
    tree, tensors = flatten({"a": {"b": torch.ones(1)}})
    tensors.clear()
    with pytest.raises(KeyError, match=r"a\.b"):
        unflatten(tree, tensors)
