"""Python values as a study file writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo_core.errors import UsageError
from hpo_core.options import Component
from hpo_core.space import Choice, Float, Int, written


def plain(value: Any, place: str) -> Any:
    """`value` in JSON types: distributions and components as a study file has them, paths as texts.

    Raises UsageError, with the dotted path of the part, for what a study file cannot hold.
    """
    if isinstance(value, Float | Int | Choice):
        return plain(written(value), place)
    if isinstance(value, Component):
        return plain({"name": value.name, **value.options}, place)
    if isinstance(value, Mapping):
        return {_key(key, place): plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{place}.{index}") for index, item in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)  # numpy's float64 is one, and writes itself otherwise
    raise UsageError(f"{place}: a study cannot hold {value!r}, a {type(value).__name__}")


def override(key: str, value: Any) -> str:
    """`key=value` with the value as YAML, which JSON is: what `hpo_core.yaml_source.apply_override` takes."""
    return f"{key}={json.dumps(plain(value, key), ensure_ascii=False)}"


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str):
        raise UsageError(f"{place}: a key of a study is a text, not {key!r}")
    return key
