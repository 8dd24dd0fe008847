"""Answers as PNG. matplotlib is an extra: `pip install "hpo-core[png]"`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo_core.errors import PluginError, UsageError
from hpo_core.results.classes import matrix
from hpo_core.results.ranking import Place, Ranking
from hpo_core.trial import ClassReport

NAMED = 40  # classes that have room for their names at the axes
COUNTED = 15  # classes whose shares are written into the squares


def confusion(report: ClassReport, title: str, path: Path) -> None:
    """Draw the confusion, each class's row divided by its images. Raises as `_saved` does."""
    _saved(confusion_figure(report, title), path)


def confusion_figure(report: ClassReport, title: str) -> Any:
    """The confusion as matplotlib's figure. Raises PluginError without matplotlib."""
    shares = matrix(report)
    size = len(report.classes)
    side = min(12.0, max(4.5, 0.32 * size + 2))
    figure = _figure(side + 0.8, side)
    axes = figure.add_subplot(xlabel="predicted", ylabel="label", title=_plain(title))
    drawn = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    figure.colorbar(drawn, ax=axes, label="share of the label's images", shrink=0.8)
    if size <= NAMED:
        names = [_plain(name)[:20] for name in report.classes]
        turn = 0 if max(map(len, names), default=0) <= 2 else 90
        axes.set_xticks(range(size), names, rotation=turn, fontsize=8)
        axes.set_yticks(range(size), names, fontsize=8)
    if size <= COUNTED:
        for row, cells in enumerate(shares):
            for column, share in enumerate(cells):
                if share:
                    colour = "white" if share > 0.5 else "black"
                    text = f"{share:.2f}".removeprefix("0") if share < 1 else "1"
                    axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    return figure


def ranking(rankings: Sequence[Ranking], path: Path) -> None:
    """Draw the means of each ranking's levels with their intervals, the best on top. Raises as `_saved` does.

    Levels whose runs reached different epochs stand in different colours: their values are not to be compared.
    """
    rows = sum(len(each.places) for each in rankings)
    figure = _figure(8, 1.2 * len(rankings) + 0.24 * rows + 0.4)
    heights = [len(each.places) + 2 for each in rankings]
    panels = figure.subplots(len(rankings), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, each in zip(panels, rankings, strict=True):
        _panel(axes, each)
    _saved(figure, path)


def _panel(axes: Any, ranking: Ranking) -> None:
    places = [place for place in ranking.places if place.best is not None]
    epochs = sorted({place.epoch for place in places if place.epoch is not None}, reverse=True)
    for index, epoch in enumerate(epochs):
        chosen = [(row, p) for row, p in enumerate(places) if p.epoch == epoch]
        axes.errorbar(
            [p.best.mean for _, p in chosen if p.best],
            [row for row, _ in chosen],
            xerr=_widths([p for _, p in chosen]),
            fmt="o",
            color=f"C{index % 10}",
            markersize=4,
            capsize=2,
            label=f"after {epoch} epochs",
        )
    axes.set_yticks(range(len(places)), [_plain(p.level)[:40] for p in places], fontsize=8)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlabel(f"{_plain(ranking.metric)}: mean of the best so far, 95 % interval")
    axes.set_title(_plain(ranking.group or ""), fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    if len(epochs) > 1:
        axes.legend(fontsize=8, title="all runs reached", title_fontsize=8)


def _widths(places: Sequence[Place]) -> tuple[list[float], list[float]]:
    """How far the intervals reach below and above; nowhere for a single run."""
    means = [place.best for place in places if place.best is not None]
    below = [0.0 if m.low is None else max(0.0, m.mean - m.low) for m in means]
    above = [0.0 if m.high is None else max(0.0, m.high - m.mean) for m in means]
    return below, above


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise PluginError(
            "a PNG needs matplotlib: install it, or hpo-core with its extra, `hpo-core[png]`"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _plain(text: str) -> str:
    """A user's text as it is: between two dollar signs matplotlib would read mathematics."""
    return "".join(char if char.isprintable() else "?" for char in text).replace("$", r"\$")


def _saved(figure: Any, path: Path) -> None:
    """Write a figure. Raises PluginError without matplotlib, UsageError where it cannot be written."""
    try:
        figure.savefig(path, dpi=130, format="png")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
