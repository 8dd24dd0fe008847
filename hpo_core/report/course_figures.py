"""Figures of when trials ran, and of which trial began with the weights of which."""

from __future__ import annotations

from collections.abc import Sequence

from hpo_core.report.attempts import Attempt
from hpo_core.report.drawing import DENSE, SOFT, Drawing, canvas, colours
from hpo_core.report.facts import Facts
from hpo_core.report.study_figures import TIPS, about
from hpo_core.report.wording import cut, plain, span
from hpo_core.results.trials import ResultTrial

ENDINGS = {
    "completed": "#2563eb",
    "stopped": "#d4a017",
    "paused": "#7c3aed",
    "failed": "#b91c1c",
    "lost": "#111827",
    "interrupted": "#64748b",
    "running": "#16a34a",
}


def timeline(facts: Facts) -> Drawing | None:
    """Every attempt as a bar from its start to its end, a row for each trial."""
    from matplotlib.collections import PolyCollection

    attempts = facts.course.attempts
    if not attempts:
        return None
    figure = canvas(min(8.0, max(2.4, 1.2 + 0.09 * len(facts.trials))))
    unit, name = _unit(facts.course.seconds)
    axes = figure.add_subplot(xlabel=f"{name} that the study ran", ylabel="trial")
    drawing = Drawing("timeline", "Timeline of the attempts", figure)
    for ending, colour in ENDINGS.items():
        own = [attempt for attempt in attempts if attempt.ending == ending]
        if own:
            least = facts.course.seconds / 1000  # or it could not be seen
            boxes = [
                (each.trial, each.began / unit, max(each.seconds, least) / unit) for each in own
            ]
            bars = PolyCollection(
                [_box(*box) for box in boxes],
                facecolors=colour,
                linewidths=0,
                label=f"{ending} ({len(own)})",
                rasterized=len(attempts) > DENSE,
            )
            axes.add_collection(bars)
            if len(attempts) <= TIPS:
                drawing.tip(bars, *map(_about, own))
    for driver in facts.course.drivers[1:]:
        axes.axvline(driver.before / unit, color=SOFT, linestyle="--", linewidth=1)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(max(trial.number for trial in facts.trials) + 0.6, -0.6)
    axes.set_xlim(0, max(1e-3, 1.01 * facts.course.seconds / unit))
    axes.legend(ncols=7, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0)
    return drawing


def lineage(facts: Facts, trials: Sequence[ResultTrial]) -> Drawing | None:
    """Trials as lines over the epochs, and a step down from each parent to its clone at the epoch of the checkpoint."""
    clones = {clone.trial: clone for clone in facts.course.clones()}
    family = {*clones, *(clone.parent for clone in clones.values())}
    shown = [trial for trial in trials if trial.number in family]
    if not shown or not clones:
        return None
    rows = {trial.number: row for row, trial in enumerate(sorted(shown, key=_number))}
    figure = canvas(min(9.0, 1.2 + 0.16 * len(rows)))
    axes = figure.add_subplot(xlabel="epoch", ylabel="trial")
    drawing = Drawing("lineage", "Which trial began with the checkpoint of which", figure)
    mappable = colours([trial.value or 0.0 for trial in shown], facts.maximizes)
    for trial, tip in zip(shown, about(shown, facts), strict=True):
        clone = clones.get(trial.number)
        first, row = clone.parent_step if clone else 0, rows[trial.number]
        colour = mappable.to_rgba(trial.value or 0.0)
        (line,) = axes.plot([first, trial.epochs], [row, row], color=colour, linewidth=3.5)
        drawing.tip(line, tip)
        if clone is not None and clone.parent in rows:
            axes.annotate(
                "",
                (first, row),
                (first, rows[clone.parent]),
                arrowprops={"arrowstyle": "->", "color": SOFT, "linewidth": 0.9},
            )
    every = -(-len(rows) // 60)
    axes.set_yticks(list(rows.values())[::every], list(rows)[::every], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.colorbar(mappable, ax=axes, label=f"best {plain(facts.metric)}", pad=0.01)
    return drawing


def _box(row: int, left: float, width: float) -> list[tuple[float, float]]:
    """The corners of an attempt's bar."""
    top, bottom = row - 0.4, row + 0.4
    return [(left, top), (left + width, top), (left + width, bottom), (left, bottom)]


def _number(trial: ResultTrial) -> int:
    return trial.number


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")


def _about(attempt: Attempt) -> str:
    said = f"trial {attempt.trial}, attempt {attempt.number}: {span(attempt.seconds)}, {attempt.ending}"
    return f"{said}: {cut(attempt.reason, 160)}" if attempt.reason else said
