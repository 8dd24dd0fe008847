"""Which part of a text says something: its hyperparameters, its config, its scheduler, its database, or anything else.

Parts are begun by a heading (`## Hyperparameters`, `[config]`, `"scheduler": {`, `Database:`) and reach to the bracket
that closes theirs, to the end of the line if something stands behind the heading, or else to the next heading. Lines
that are SQL belong to the database wherever they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SOURCES = ("hyperparameters", "config", "scheduler", "database", "text")
"""In the order in which they are believed; `text` is everything outside the others."""

_WORDS = {
    "hyperparameters": r"hyper[ _-]?parameters?|prm",
    "config": r"config(?:uration)?|settings",
    "scheduler": r"schedulers?",
    "database": r"database|db",
}
_PART = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(f"(?P<{source}>{words})" for source, words in _WORDS.items())
    + r")(?![\w-])[\"'\]*`]*[ \t]*(?P<sign>[:=])?[ \t]*(?P<open>[{(\[])?",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"[ \t\"'*`>-]*(?P<mark>[#\[]+[ \t\"'*`]*)?$")
_HEADING = re.compile(
    r"^[ \t]*(?:#+[ \t].*|\[[\w .-]+\][ \t]*|[\"'*]*[A-Za-z][\w -]*[\"'*]*[ \t]*[:=][ \t]*)$",
    re.MULTILINE,
)
_SQL = re.compile(r"^[ \t]*(?:SELECT|INSERT|UPDATE|REPLACE)\b.*$", re.MULTILINE)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Parts:
    """The parts of one text."""

    def __init__(self, text: str) -> None:
        self._painted = bytearray([SOURCES.index("text")]) * len(text)
        for start, end, source in [*_parts(text), *_statements(text)]:
            self._painted[start:end] = bytes([SOURCES.index(source)]) * (end - start)

    def rank(self, position: int) -> int:
        """The place in SOURCES of what a character belongs to."""
        return self._painted[position]


def _parts(text: str) -> Iterator[tuple[int, int, str]]:
    closings = _closings(text)
    headings = [found.start() for found in _HEADING.finditer(text)]
    following = 0
    for found in _PART.finditer(text):
        source = next(source for source in _WORDS if found[source] is not None)
        opening = found.start("open")
        if opening >= 0 and found["sign"] and opening in closings:
            yield found.start(), closings[opening], source
            continue
        line_start = text.rfind("\n", 0, found.start()) + 1
        before = _BEFORE.match(text[line_start : found.start()])
        if before is None or not (found["sign"] or before["mark"]):
            continue
        line_end = _end(text, found.end())
        if text[found.end() : line_end].strip() or opening >= 0:
            yield found.start(), line_end, source
            continue
        while following < len(headings) and headings[following] < line_end:
            following += 1
        end = headings[following] if following < len(headings) else len(text)
        yield found.start(), end, source


def _statements(text: str) -> Iterator[tuple[int, int, str]]:
    return ((found.start(), found.end(), "database") for found in _SQL.finditer(text))


def _closings(text: str) -> dict[int, int]:
    """Where the bracket that is opened at a position is closed."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for position, char in enumerate(text):
        if char in _CLOSING:
            opened.append(position)
        elif opened and char == _CLOSING[text[opened[-1]]]:
            found[opened.pop()] = position
    return found


def _end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
