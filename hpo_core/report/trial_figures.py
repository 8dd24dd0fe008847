"""Figures in which each trial is a line: its metric by epoch, its learning rate, its parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log10
from typing import Any

from hpo_core.report.drawing import BEST, Drawing, canvas, colours, scale
from hpo_core.report.facts import Facts
from hpo_core.report.study_figures import about
from hpo_core.report.wording import cut, number, plain, short, value
from hpo_core.results.trials import ResultTrial
from hpo_core.space import Choice, Distribution

AXES = 10
"""Parameters that have an axis among the parallel coordinates."""

LEVELS = 40
"""Alternatives of a choice that have room for their names at an axis."""

_RATE = re.compile(r"^(lr|learning_rate)([-_./].*)?$")
"""What an objective calls the learning rate among its metrics."""


def curves(facts: Facts, trials: Sequence[ResultTrial]) -> Drawing | None:
    """The metric of these trials by epoch."""
    return _by_epoch(facts, trials, facts.metric, "curves", f"{facts.metric} by epoch")


def learning_rates(facts: Facts, trials: Sequence[ResultTrial]) -> Drawing | None:
    """The learning rate of these trials by epoch, where their objective reports it."""
    names = sorted({name for trial in trials for name in trial.curves if _RATE.match(name)})
    if not names:
        return None
    return _by_epoch(facts, trials, names[0], "learning_rates", "Learning rate by epoch")


def _by_epoch(
    facts: Facts, trials: Sequence[ResultTrial], metric: str, name: str, title: str
) -> Drawing | None:
    shown = [trial for trial in trials if trial.curves.get(metric)]
    if max((len(trial.curves[metric]) for trial in shown), default=0) < 2:
        return None
    figure = canvas(3.6)
    axes = figure.add_subplot(xlabel="epoch", ylabel=plain(metric))
    drawing = Drawing(name, title, figure)
    mappable = colours([trial.value or 0.0 for trial in shown], facts.maximizes)
    tips = about(shown, facts)
    for index, trial in reversed(list(enumerate(shown))):  # the best on top
        best = facts.best is not None and trial.number == facts.best.number
        curve = trial.curves[metric]
        (line,) = axes.plot(
            list(curve),
            list(curve.values()),
            color=BEST if best else mappable.to_rgba(trial.value or 0.0),
            linewidth=2.2 if best else 0.9,
            alpha=1 if best else 0.65,
            marker="o" if len(curve) == 1 else None,
            markersize=3,
            label=f"trial {trial.number}, the best" if best else None,
        )
        drawing.tip(line, tips[index])
    if metric != facts.metric or not facts.maximizes:  # of an accuracy the upper end matters
        scale(axes.yaxis, [v for trial in shown for v in trial.curves[metric].values()])
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.colorbar(mappable, ax=axes, label=f"best {plain(facts.metric)}", pad=0.01)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0)
    return drawing


def axes_of(facts: Facts) -> list[str]:
    """The parameters that have an axis: the most important ones, then the others in their order."""
    varied = [
        name
        for name in facts.parameters
        if len({repr(trial.params.get(name)) for trial in facts.ranked}) > 1
    ]
    found = facts.importances
    known = () if isinstance(found, str) else found.parameters
    shares = {row.parameter: row.importance for row in known}
    return sorted(varied, key=lambda name: -shares.get(name, -1.0))[:AXES]


def parallel(facts: Facts, trials: Sequence[ResultTrial]) -> Drawing | None:
    """Each trial as a line through its parameters to its value."""
    names = axes_of(facts)
    if not names or len(trials) < 2:
        return None
    figure = canvas(4.4)
    axes = figure.add_subplot()
    drawing = Drawing("parallel", "Parallel coordinates", figure)
    values = [trial.value or 0.0 for trial in trials]
    columns = [_column([t.params.get(n) for t in trials], facts.parameters[n]) for n in names]
    columns.append(_numbers(values, False))
    mappable = colours(values, facts.maximizes)
    tips = about(trials, facts)
    for index in reversed(range(len(trials))):
        best = facts.best is not None and trials[index].number == facts.best.number
        heights = [column[index] for column, _ in columns]
        colour = BEST if best else mappable.to_rgba(values[index])
        wide, strong = (2.2, 1.0) if best else (0.9, 0.5)
        there = [place for place, height in enumerate(heights) if height == height]
        if len(there) < len(heights):  # it goes on behind parameters that the trial does not have
            points = [heights[place] for place in there]
            axes.plot(there, points, ":", color=colour, linewidth=wide, alpha=strong)
        (line,) = axes.plot(
            heights, color=colour, linewidth=wide, alpha=strong, marker="o", markersize=2.5
        )
        drawing.tip(line, tips[index])
    for place, (_, ticks) in enumerate(columns):
        _ruler(axes, place, ticks)
    labels = [*short(names).values(), facts.metric]
    axes.set_xticks(range(len(columns)), [_label(text, len(columns)) for text in labels])
    axes.set_yticks([])
    axes.set_xlim(-0.15, len(columns) - 0.7)
    axes.set_ylim(-0.04, 1.04)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(mappable, ax=axes, label=plain(facts.metric), pad=0.01)
    return drawing


def gaps(facts: Facts) -> str:
    """What dotted lines mean, where there are any among the parallel coordinates."""
    names = axes_of(facts)
    if all(name in trial.params for trial in facts.ranked for name in names):
        return ""
    return "Dotted: past parameters that the trial does not have."


Column = tuple[list[float], list[tuple[float, str]]]
"""Heights from 0 to 1, NaN for what a trial lacks; and ticks, each a height and its text."""


def _column(given: Sequence[Any], distribution: Distribution) -> Column:
    if isinstance(distribution, Choice):
        return _levels(given, [str(label) for label in distribution.labels])
    return _numbers([float("nan") if v is None else float(v) for v in given], distribution.log)


def _levels(given: Sequence[Any], labels: list[str]) -> Column:
    top = max(1, len(labels) - 1)
    heights = {label: index / top for index, label in enumerate(labels)}
    every = -(-len(labels) // LEVELS)
    ticks = [(heights[label], label) for label in labels[::every]]
    return [heights.get(str(v), float("nan")) for v in given], ticks


def _numbers(given: Sequence[float], log: bool) -> Column:
    """Numbers between their least and their greatest, which is more than their range says."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    known = [v for v in given if v == v]
    low, high = min(known, default=0.0), max(known, default=1.0)
    log = log and low > 0
    if high <= low:
        return [0.5 if v == v else v for v in given], [(0.5, value(low))]

    def height(v: float) -> float:
        return log10(v / low) / log10(high / low) if log else (v - low) / (high - low)

    wide = log and high >= 10 * low
    locator = LogLocator() if wide else MaxNLocator(5)
    ticks = [float(v) for v in locator.tick_values(low, high) if low <= v <= high]
    return [height(v) if v == v else v for v in given], [(height(v), f"{v:g}") for v in ticks]


def _ruler(axes: Any, place: int, ticks: Sequence[tuple[float, str]]) -> None:
    """A vertical axis with its ticks, to the right of it so that lines do not hide them."""
    axes.axvline(place, color="#475569", linewidth=0.8, zorder=3)
    size = 7 if len(ticks) <= 20 else 5.5
    for height, text in ticks:
        axes.annotate(
            plain(cut(text, 22)),
            (place, height),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=size,
            zorder=4,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6},
        )


def _label(text: str, columns: int) -> str:
    """A parameter's name in lines that do not reach the next axis."""
    room = max(8, 90 // columns)
    lines = [text[start : start + room] for start in range(0, min(len(text), 3 * room), room)]
    return "\n".join(map(plain, lines))


def caption(facts: Facts) -> str:
    """Which trial is drawn thick."""
    best = facts.best
    return (
        "" if best is None else f"Thick: trial {best.number}, the best with {number(best.value)}."
    )
