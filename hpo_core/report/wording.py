"""Numbers, spans of time and values of parameters as a report writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

DASH = "—"


def number(value: float | None) -> str:
    """A number in four or five digits, and a dash for none."""
    if value is None:
        return DASH
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}" if abs(value) < 10 else f"{value:.5g}"
    return f"{value:.2e}"


def share(value: float | None) -> str:
    """A part of a whole, in percent."""
    return DASH if value is None else f"{100 * value:.1f} %"


def span(seconds: float) -> str:
    """A span of time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def moment(seconds: float) -> str:
    """A moment, given in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def value(given: Any) -> str:
    """A parameter's value."""
    return f"{given:.4g}" if isinstance(given, float) else str(given)


def parameters(params: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Parameters on one line, under their short names."""
    return ", ".join(f"{names.get(path, path)}={value(given)}" for path, given in params.items())


def short(paths: Iterable[str]) -> dict[str, str]:
    """Each dotted path by as many of its last words as tell it from the others: `optimizer.lr` by `lr`."""
    known = list(paths)
    return {path: _shortest(path, known) for path in known}


def cut(text: str, length: int) -> str:
    """A text that has only so much room."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _shortest(path: str, paths: list[str]) -> str:
    words = path.split(".")
    for count in range(1, len(words)):
        tail = ".".join(words[-count:])
        if not any(other != path and f".{other}".endswith(f".{tail}") for other in paths):
            return tail
    return path


def plain(text: object) -> str:
    """A user's text for a figure: matplotlib would read mathematics between dollar signs, and XML has no controls."""
    return "".join(char if char.isprintable() else "?" for char in str(text)).replace("$", r"\$")
