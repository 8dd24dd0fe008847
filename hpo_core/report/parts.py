"""What a report is made of: sections with sentences, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hpo_core.report.drawing import Drawing

ROWS = 200
"""The most rows that a table has."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a head. Columns from `numbers` on are numbers, and stand to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 99


@dataclass
class Section:
    """A heading with what stands under it, in this order. `name` is its address within the page."""

    name: str
    title: str
    prose: list[str] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    text: str = ""  # as it is, such as a file

    def __bool__(self) -> bool:
        """Whether there is anything to show but sentences."""
        return bool(self.drawings or self.tables or self.text)


def drawn(*found: Drawing | None) -> list[Drawing]:
    """Those drawings that there was something for."""
    return [each for each in found if each is not None]
