"""Tables as plain text in columns: readable on a terminal, and for `grep` and `cut` in a pipe.

Unlike rich's tables they are never cut to 80 columns when nobody sees them, and short commands import no rich.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hpo_core.cli.wording import NOTHING, clean

GAP = 2
NARROWEST_LAST = 24  # a last column with less room than this is not worth wrapping


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their head to stdout, with `-` for None. Cells come from users, so they are cleaned."""
    cells = [[clean(NOTHING if cell is None else cell) for cell in row] for row in rows]
    for line in aligned([head, *cells], terminal_width()):
        print(line)


def aligned(rows: Iterable[Sequence[str]], width: int | None = None) -> Iterator[str]:
    """Rows of equal length as lines. The last column is wrapped at `width`, or not at all where that is None."""
    rows = list(rows)
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))] if rows else []
    indent = sum(widths[:-1]) + GAP * (len(widths) - 1)
    for row in rows:
        head = "".join(
            cell.ljust(size + GAP) for cell, size in zip(row[:-1], widths[:-1], strict=True)
        )
        room = None if width is None else max(width - indent, NARROWEST_LAST)
        first, *rest = _wrapped(row[-1], room)
        yield f"{head}{first}".rstrip()
        yield from (" " * indent + line for line in rest)


def terminal_width() -> int | None:
    """The width of the terminal that stdout is, or None where it goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(line: str, width: int | None) -> list[str]:
    """A line of prose at most `width` wide, or as it is where that is None; what follows is indented a bit more."""
    if width is None or len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _wrapped(text: str, room: int | None) -> list[str]:
    if room is None or len(text) <= room:
        return [text]
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
