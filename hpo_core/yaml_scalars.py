"""What a plain scalar of a study file stands for: the core schema of YAML 1.2 (section 10.3.2).

PyYAML's own rules are those of YAML 1.1, in which `no` is false, `1e-3` is text, `12:30` is 750 and `017` is 15. Here
`1e-3` is a number, `no`, `12:30` and `2024-01-01` are text, `017` is 17, and an octal number is written `0o17`.
"""

from __future__ import annotations

import re
from typing import Any

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {text: text.lower() == "true" for text in "true True TRUE false False FALSE".split()}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def resolve(text: str) -> Any:
    """The value of a plain (not quoted) scalar. Raises OverflowError for an integer beyond 64 bits."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return _whole(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _whole(text: str) -> int:
    """An integer of 64 bits: what JSON, a database and a sampler can all hold. Raises OverflowError."""
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    value = int(text, base) if len(text) <= 40 else 2**64  # more digits than any such number
    if not -(2**63) <= value < 2**63:
        shown = text if len(text) <= 40 else f"{text[:20]}... ({len(text)} digits)"
        raise OverflowError(f"the whole number {shown} does not fit into 64 bits")
    return value
