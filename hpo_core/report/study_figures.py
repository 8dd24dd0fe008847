"""Figures of a study as a whole: its history, how far its trials got, what mattered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from hpo_core.report.cost import planned
from hpo_core.report.drawing import BEST, DENSE, SOFT, STATES, Drawing, canvas, scale
from hpo_core.report.facts import Facts
from hpo_core.report.wording import cut, number, parameters, plain, short
from hpo_core.results.importance import SURE
from hpo_core.results.trials import ResultTrial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TIPS = 1000
"""Marks that say which trial they are; more would make the page large."""

BARS = 20
"""Parameters whose importance is shown."""

ENDED = {
    "complete": "completed",
    "pruned": "stopped",
    "fail": "failed",
    "running": "running",
    "paused": "paused",
}
"""What became of a trial, by its state."""


def history(facts: Facts) -> Drawing:
    """The value of each trial in the order of their numbers, and the best so far."""
    figure = canvas(3.4)
    axes = figure.add_subplot(xlabel="trial", ylabel=plain(facts.metric))
    drawing = Drawing("history", "History: the value of each trial", figure)
    ranked = sorted(facts.ranked, key=lambda trial: trial.number)
    names = short(facts.parameters)
    for state, colour in STATES.items():
        own = [trial for trial in ranked if trial.state == state]
        if own:
            values = [trial.value for trial in own]
            marks = axes.scatter(
                [trial.number for trial in own],
                values,
                s=16 if len(ranked) < DENSE else 4,
                color=colour,
                alpha=0.75,
                linewidths=0,
                label=f"{state} ({len(own)})",
                rasterized=len(ranked) > DENSE,
            )
            if len(ranked) <= TIPS:
                drawing.tip(marks, *(_about(trial, names) for trial in own))
    _draw_failed(axes, facts)
    _draw_best_so_far(axes, facts, ranked)
    if not facts.maximizes:
        scale(axes.yaxis, [trial.value or 0.0 for trial in ranked])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(ncols=6, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0)
    return drawing


def _draw_failed(axes: Axes, facts: Facts) -> None:
    """A cross at the bottom for each trial that has failed, and so has no value."""
    failed = [trial.number for trial in facts.trials if trial.failed]
    if failed:
        axes.plot(
            failed,
            [0.02] * len(failed),
            "x",
            color=STATES["fail"],
            transform=axes.get_xaxis_transform(),
            markersize=4,
            label=f"failed ({len(failed)})",
            rasterized=len(failed) > DENSE,
        )


def _draw_best_so_far(axes: Axes, facts: Facts, ranked: list[ResultTrial]) -> None:
    finished = [trial for trial in ranked if trial.finished]
    best = max if facts.maximizes else min
    so_far = list(accumulate((trial.value or 0.0 for trial in finished), best))
    if so_far:
        axes.step(
            [*(trial.number for trial in finished), len(facts.trials) - 1],
            [*so_far, so_far[-1]],
            where="post",
            color=BEST,
            linewidth=1.4,
            label="best so far",
        )


def importance(facts: Facts) -> Drawing | None:
    """The share of each parameter in what parameters explain, with its interval; pale where it may be chance."""
    if isinstance(facts.importances, str):
        return None
    shown = facts.importances.parameters[:BARS]
    names = short(row.parameter for row in facts.importances.parameters)
    figure = canvas(0.7 + 0.27 * len(shown), 6.5)
    axes = figure.add_subplot(xlabel="share")
    widths = [row.importance for row in shown]
    errors = [
        [max(0.0, row.importance - row.low) for row in shown],
        [max(0.0, row.high - row.importance) for row in shown],
    ]
    rows = range(len(shown))
    sure = [STATES["complete"] if row.p < SURE else "#bfdbfe" for row in shown]
    axes.barh(rows, widths, color=sure, height=0.65)
    axes.errorbar(widths, rows, xerr=errors, fmt="none", ecolor="#0f172a", elinewidth=1, capsize=2)
    axes.set_yticks(rows, [plain(cut(names[row.parameter], 40)) for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(axis="y", visible=False)
    return Drawing("importance", "Importance of the parameters", figure)


def survival(facts: Facts) -> Drawing | None:
    """How many trials reached each epoch, and how those ended that got no further."""
    rows = reached(facts)
    if len(rows) < 2:
        return None
    figure = canvas(3.0)
    axes = figure.add_subplot(xlabel="epoch", ylabel="trials")
    epochs = [epoch for epoch, _, _ in rows]
    axes.step(
        epochs, [n for _, n, _ in rows], where="mid", color=SOFT, label="reached it", linewidth=1.6
    )
    bottom = [0] * len(rows)
    for state, colour in STATES.items():
        heights = [ended[state] for _, _, ended in rows]
        if any(heights):
            axes.bar(
                epochs,
                heights,
                bottom=bottom,
                color=colour,
                width=0.7,
                label=f"{ENDED[state]} there",
            )
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.set_ylim(bottom=0)
    axes.legend(ncols=6, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0)
    return Drawing("survival", "How many trials reached each epoch", figure)


def reached(facts: Facts) -> list[tuple[int, int, Counter[str]]]:
    """For each epoch, how many trials reached it, and the states of those that have it as their last."""
    ended: dict[int, Counter[str]] = {}
    for trial in facts.trials:
        ended.setdefault(trial.epochs, Counter())[trial.state] += 1
    found, alive = [], len(facts.trials) - sum(ended.get(0, Counter()).values())
    for epoch in range(1, facts.longest + 1):
        here = ended.get(epoch, Counter())
        found.append((epoch, alive, here))
        alive -= sum(here.values())
    return found


def stopped_early(facts: Facts) -> bool:
    """Whether any trial ended before the epochs that were planned for it."""
    return any(
        trial.state in ("pruned", "paused") and trial.epochs < planned(trial, facts.longest)
        for trial in facts.trials
    )


def _about(trial: ResultTrial, names: dict[str, str]) -> str:
    said = f"trial {trial.number}: {number(trial.value)}, {trial.state}, epochs {trial.epochs}"
    return f"{said}; {cut(parameters(trial.params, names), 200)}"


def about(trials: Sequence[ResultTrial], facts: Facts) -> list[str]:
    """What the marks of trials say when they are pointed at."""
    names = short(facts.parameters)
    return [_about(trial, names) for trial in trials]
