"""A trial's classes as files to look at and to take along: the confusion drawn as SVG, the classes as CSV.

SVG is text, so a driver at the end of a study needs no library to draw it, and no time.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Sequence
from typing import Any

from hpo_core.results.classes import matrix, summary
from hpo_core.results.trials import ResultTrial
from hpo_core.trial import ClassReport

SIDE, MARGIN, TITLE = 26, 150, 40  # of a square, beside and above the squares, in pixels
NAMED = 22  # characters of a class's name
COUNTED = 40  # classes whose images are written into the squares


def confusion(report: ClassReport, title: str) -> str:
    """The confusion as SVG: rows are labels, columns predictions, colours shares of a row."""
    shares, size = matrix(report), len(report.classes)
    counts: dict[tuple[int, int], int] = {}
    for label, guess, images in report.confusion:
        counts[label, guess] = counts.get((label, guess), 0) + images
    width, height = MARGIN + SIDE * size + 20, TITLE + SIDE * size + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{MARGIN}" y="24" font-size="14">{_text(title)}</text>',
    ]
    for row in range(size):
        for column in range(size):
            images = counts.get((row, column), 0)
            lines += _square(row, column, shares[row][column], images if size <= COUNTED else 0)
    for index, name in enumerate(report.labels(NAMED)):
        middle = SIDE * index + SIDE / 2
        shown = _text(name)
        beside = f'x="{MARGIN - 6}" y="{TITLE + middle + 4:g}"'
        lines.append(f'<text {beside} text-anchor="end">{shown}</text>')
        x, y = MARGIN + middle + 4, TITLE + SIDE * size + 8
        turned = f'transform="rotate(-90 {x:g} {y:g})" text-anchor="end"'
        lines.append(f'<text x="{x:g}" y="{y:g}" {turned}>{shown}</text>')
    return "\n".join([*lines, "</svg>", ""])


def per_class(report: ClassReport) -> str:
    """A line of CSV for each class."""
    rows = [
        (name, row.support, row.predicted, row.precision, row.recall, row.f1)
        for name, row in zip(report.labels(), summary(report).classes, strict=True)
    ]
    return _csv(("class", "images", "predicted", "precision", "recall", "f1"), rows)


def learning_curves(trial: ResultTrial) -> str:
    """A line of CSV for each epoch of a trial."""
    rows = [(step, *(curve.get(step) for curve in trial.curves.values())) for step in trial.steps()]
    return _csv(("epoch", *trial.curves), rows)


def _square(row: int, column: int, share: float, images: int) -> Iterable[str]:
    x, y = MARGIN + SIDE * column, TITLE + SIDE * row
    red, green, blue = (round(255 + (end - 255) * share) for end in (8, 48, 107))
    yield (
        f'<rect x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" '
        f'fill="rgb({red},{green},{blue})" stroke="#ddd"/>'
    )
    if images:
        colour = "#fff" if share > 0.5 else "#000"
        at = f'x="{x + SIDE / 2:g}" y="{y + SIDE / 2 + 4:g}" text-anchor="middle"'
        yield f'<text {at} fill="{colour}" font-size="9">{images}</text>'


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(each) for each in head])
    writer.writerows([_cell(each) for each in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A name as no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _text(text: str) -> str:
    return html.escape("".join(char if char.isprintable() else "?" for char in text))
