"""How the best trial does on each class: a table, the confusion, and what is taken for what."""

from __future__ import annotations

from hpo_core.report.drawing import Drawing
from hpo_core.report.facts import Facts
from hpo_core.report.parts import ROWS, Section, Table
from hpo_core.report.wording import cut, number, share
from hpo_core.results import plots
from hpo_core.results.classes import ClassSummary, confused, summary

PAIRS = 15
"""Pairs of classes in the table of confusions."""

NAME = 60
"""Characters of a class's name that are shown."""

WIDEST = 400
"""Classes; the confusion of more of them has no square that could be seen."""


def classes(facts: Facts) -> Section:
    """What the best trial reported on classes at its best epoch; empty where it reported nothing."""
    section = Section("classes", "Classes")
    if facts.classes is None or facts.best is None:
        return section
    epoch, report = facts.classes
    found = summary(report)
    section.prose = [
        f"Trial {facts.best.number} after epoch {epoch}, on {found.images} images of the validation part: accuracy "
        f"{share(found.accuracy)}, mean recall {share(found.macro_recall)}, mean F1 {share(found.macro_f1)}. "
        f"The commonest guess is given to {share(found.most_predicted)} of the images."
    ]
    if len(found.classes) <= WIDEST:
        figure = plots.confusion_figure(report, "")
        for axes in figure.axes:
            axes.grid(False)
        title = "Confusion: of each class's images, in its row, the share that was taken for each class."
        section.prose.append(title)
        section.drawings = [Drawing("confusion", title, figure)]
    section.tables = [_table(found, section), *_groups(found)]
    pairs = confused(report, PAIRS)
    if pairs:
        rows = [
            (cut(p.label, NAME), cut(p.predicted, NAME), str(p.images), share(p.share))
            for p in pairs
        ]
        head = ("class", "taken for", "images", "share of the class")
        section.tables.append(Table(head, rows, numbers=2))
    return section


def _table(found: ClassSummary, section: Section) -> Table:
    rows = list(found.classes)
    if len(rows) > ROWS:
        rows = sorted(rows, key=lambda row: row.f1)[:ROWS]
        section.prose.append(f"The {ROWS} of {len(found.classes)} classes with the least F1.")
    head = ("class", "precision", "recall", "F1", "images", "guesses")
    cells = [
        (
            cut(row.name, NAME),
            number(row.precision),
            number(row.recall),
            number(row.f1),
            str(row.support),
            str(row.predicted),
        )
        for row in rows
    ]
    return Table(head, cells, numbers=1)


def _groups(found: ClassSummary) -> list[Table]:
    if not found.groups:
        return []
    head = ("group", "classes", "images", "own class", "mean of classes", "any of the group")
    rows = [
        (
            cut(group.name, NAME),
            str(group.classes),
            str(group.support),
            share(group.micro),
            share(group.macro),
            share(group.coarse),
        )
        for group in found.groups[:ROWS]
    ]
    return [Table(head, rows, numbers=1)]
