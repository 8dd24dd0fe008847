"""How values are put into words for people: numbers, parameters, spans of time, strings of users.

Names of studies, reasons and parameters come from users and from exceptions: `clean` takes out what would move the
cursor or colour the terminal, and every view passes them through it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

NOTHING = "-"


def clean(text: object) -> str:
    """`text` on one line and without control characters."""
    spaced = " ".join(str(text).split())
    return "".join(char if char.isprintable() else "?" for char in spaced)


def number(value: float | None) -> str:
    """A metric's value in at most 10 characters: `0.9220`, `12.0000`, `3.1e-05`, `nan`."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4f}"
    return f"{value:.3e}"


def parameters(params: Mapping[str, Any]) -> str:
    """Parameters on one line, each named by as many of its last words as tell it from the others."""
    names = short_names(list(params))
    return " ".join(f"{names[path]}={_value(value)}" for path, value in params.items())


def short_names(paths: list[str]) -> dict[str, str]:
    """Dotted paths without the words at their beginnings that nothing depends on: `optimizer.lr` -> `lr`."""
    return {path: _shortest(path, paths) for path in paths}


def _shortest(path: str, paths: list[str]) -> str:
    words = path.split(".")
    for count in range(1, len(words)):
        tail = ".".join(words[-count:])
        if not any(other != path and f".{other}".endswith(f".{tail}") for other in paths):
            return clean(tail)
    return clean(path)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return clean(value)


def span(seconds: float) -> str:
    """A span of time as a clock shows it: `0:41`, `12:05`, `3:00:00`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def about(seconds: float) -> str:
    """A rough span of time: `20 s`, `4 min`, `1.5 h`, `3.2 days`."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def count(number_of: int, noun: str) -> str:
    """`1 trial`, `2 trials`, `2 losses`."""
    ending = "" if number_of == 1 else "es" if noun.endswith("ss") else "s"
    return f"{number_of} {noun}{ending}"


def size(number_of_bytes: float) -> str:
    """An amount of memory or disk: `15.6 GiB`, `0.3 MiB`."""
    if number_of_bytes < 2**30:
        return f"{number_of_bytes / 2**20:.1f} MiB"
    return f"{number_of_bytes / 2**30:.1f} GiB"


def used(data: Mapping[str, Any]) -> Iterator[str]:
    """What an attempt took of the machine, by the names that events have for it, as far as it was measured."""
    if data.get("peak_memory"):
        yield f"{size(data['peak_memory'])} of memory at most"
    if data.get("peak_gpu_memory"):
        yield f"{size(data['peak_gpu_memory'])} of GPU memory at most"
    if data.get("gpu_utilization") is not None:
        yield f"the GPU busy {data['gpu_utilization']:.0f} % of the time"
