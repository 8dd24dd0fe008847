"""A CSV file that grows: rows are appended, columns may be added, and a process killed at any moment does no harm.

A row is written with one call to the operating system. What a full disk or a power cut may leave is a last line
without its end; no row holds a line break, so the whole last line is cut off before anything is appended. A new
column, which happens when the space is conditional, has the file written anew beside itself and renamed.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

Cell = str | int | float | bool | None


class Table:
    """One CSV file with a header, continued where it exists already."""

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self.path = path
        self.columns: list[str] = []
        if path.exists():
            cut_torn_line(path)
            self.columns = self._header()
        self._file = path.open("ab", buffering=0)
        self._widen(columns)

    def append(self, row: Mapping[str, Cell]) -> None:
        """Write a row; keys that are no columns yet become columns, missing ones stay empty."""
        self._widen(row)
        self._file.write(as_line([row.get(column) for column in self.columns]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _header(self) -> list[str]:
        with self.path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _widen(self, names: Iterable[str]) -> None:
        new = [name for name in names if name not in self.columns]
        if not new:
            return
        with self.path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        self.columns += new
        beside = self.path.with_name(f".{self.path.name}.new")
        with beside.open("wb") as file:
            file.write(as_line(self.columns))
            file.writelines(as_line(row + [""] * (len(self.columns) - len(row))) for row in rows)
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        beside.replace(self.path)
        self._file = self.path.open("ab", buffering=0)


def as_line(cells: Iterable[Cell]) -> bytes:
    """A line of CSV with its end, the only line break in it."""
    text = io.StringIO(newline="")
    flat = (" ".join(cell.splitlines()) if isinstance(cell, str) else cell for cell in cells)
    csv.writer(text, lineterminator="\n").writerow(flat)
    return text.getvalue().encode()


def cut_torn_line(path: Path) -> None:
    """Remove what stands after the last line break."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        os.truncate(path, end)
