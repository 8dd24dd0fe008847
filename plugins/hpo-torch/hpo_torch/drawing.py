"""Curves as text and as PNG. The text is of braille characters, 2 by 4 dots each; matplotlib is an extra."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpo_core import PluginError
from hpo_core.commands import UsageError
from hpo_torch.curves import Curve

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character, by row
LABELS = 5  # width of the numbers beside the curve, with a space


def lines(curve: Curve, width: int, height: int, encoding: str) -> Iterator[str]:
    """The curve from 0 to its highest rate in `height` rows of `width` characters, with its axes named.

    An `encoding` without braille gets asterisks.
    """
    top = max(*curve.rates, 1.0)
    columns = max(width - LABELS - 1, 10)
    for row, cells in enumerate(_cells(curve.rates, top, columns, height)):
        text = "".join(chr(0x2800 + cell) for cell in cells).rstrip(chr(0x2800))
        label = {0: f"{top:.3g}", height // 2: f"{top / 2:.3g}", height - 1: "0"}.get(row, "")
        if not _writable(text + "│", encoding):
            text = "".join("*" if cell else " " for cell in cells).rstrip()
            yield f"{label:>{LABELS - 1}} |{text}"
        else:
            yield f"{label:>{LABELS - 1}} │{text}"
    unit = "epoch" if curve.epochs else "step"
    last = f"{unit} {len(curve.rates) - 1}"
    yield " " * LABELS + "0".ljust(columns + 1 - len(last)) + last
    yield " " * LABELS + "the rate of each " + f"{unit}, as a part of the optimizer's own"
    for remark in _remarks(curve):
        yield " " * LABELS + remark


def save(curve: Curve, path: Path) -> None:
    """Write the curve as PNG. Raises PluginError without matplotlib, UsageError where it cannot be written."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise PluginError(
            "a PNG needs matplotlib: install it, or hpo-torch with its extra, `hpo-torch[png]`"
        ) from error
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot(
        xlabel="epoch" if curve.epochs else "step", ylabel="rate / the optimizer's own"
    )
    axes.plot(curve.rates, drawstyle="steps-post" if len(curve.rates) < 50 else "default")
    axes.set_title("; ".join([curve.name, *_remarks(curve)]), fontsize="medium")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if curve.average_from is not None:
        axes.axvspan(curve.average_from, len(curve.rates) - 1, alpha=0.15)
    try:
        figure.savefig(path, dpi=150, format="png")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _remarks(curve: Curve) -> Iterator[str]:
    if curve.average_from is not None:
        yield f"weights are averaged from step {curve.average_from}"
    if curve.note:
        yield curve.note


def _cells(rates: list[float], top: float, columns: int, height: int) -> list[list[int]]:
    """The braille dots of each character, as bits; neighbouring rates are joined."""
    cells = [[0] * columns for _ in range(height)]
    across, down = 2 * columns, 4 * height
    before = rates[0]
    for x in range(across):
        first, last = (x * len(rates) // across, (x + 1) * len(rates) // across)
        here = rates[first : max(last, first + 1)]
        dots = [round((1 - rate / top) * (down - 1)) for rate in (before, *here)]
        before = here[-1]
        for y in range(min(dots), max(dots) + 1):
            cells[y // 4][x // 2] |= DOTS[y % 4][x % 2]
    return cells


def _writable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
