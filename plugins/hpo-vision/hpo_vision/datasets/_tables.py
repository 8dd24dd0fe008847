"""Reads a table of images and labels: the half of `csv_table` that imports torch."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hpo_core import Part
from hpo_vision.datasets.fence import Fence
from hpo_vision.datasets.found import PARTS, FoundPictures
from hpo_vision.datasets.pictures import shown
from hpo_vision.datasets.rows import Complaints, Row, arranged, divided

Columns = tuple[str, str, str]


def find(
    path: str, columns: Columns, val_fraction: float, test_fraction: float, split_seed: int
) -> FoundPictures:
    """The pictures of a table, divided as `hpo_vision.datasets.csv_table` says, and with the errors that it names.

    `columns` are those of the image, the label and the part; a table may be without the last.
    """
    file = Path(path).expanduser()
    title = f"dataset 'csv', {file}"
    if not file.is_file():
        raise FileNotFoundError(f"dataset 'csv': there is no file {file.absolute()}")
    complaints = Complaints(title)
    with file.open("rb") as lines:
        table = csv.reader(_text(lines, complaints, shown(file.name)), strict=True)
        header = next(table, [])
        places = _places(title, header, columns)
        rows = _rows(table, len(header), places, file, complaints)
        if len(places) == 2:
            whole = (row for _, row in rows)
            return divided(title, whole, complaints, val_fraction, test_fraction, split_seed)
        parts: dict[Part, list[Row]] = {}
        for part, row in rows:
            parts.setdefault(part, []).append(row)
    return arranged(title, parts, complaints)


def _places(title: str, header: list[str], columns: Columns) -> list[int]:
    """Where the columns are: two or, with parts, three."""
    for name in columns:
        if header.count(name) > 1:
            raise ValueError(f"{title}: the column '{name}' is there twice")
        if name not in header and name != columns[2]:
            near = get_close_matches(name, header, 1)
            hint = f" - is it '{near[0]}'?" if near else ""
            raise ValueError(f"{title}: there is no column '{name}' in {header}{hint}")
    return [header.index(name) for name in columns if name in header]


def _text(lines: Iterator[bytes], complaints: Complaints, name: str) -> Iterator[str]:
    """The lines decoded; one that is not UTF-8 is noted, and read with what can be read of it."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            complaints.add(f"{name}:{number}", f"byte {error.start + 1} is not UTF-8")
            yield line.decode("utf-8", "replace")


def _rows(
    table: Any, width: int, places: list[int], file: Path, complaints: Complaints
) -> Iterator[tuple[Part, Row]]:
    """Each row with its part; `train` where the table has none."""
    fence = Fence(file.parent)
    before = table.line_num
    while True:
        place = f"{shown(file.name)}:{before + 1}"
        try:
            cells = next(table)
            if cells:
                yield _row(cells, width, places, file, fence, place)
        except StopIteration:
            return
        except csv.Error as error:
            complaints.add(place, f"no row of a table: {error}")
            return
        except ValueError as error:
            complaints.add(place, str(error))
        before = table.line_num


def _row(
    cells: list[str], width: int, places: list[int], file: Path, fence: Fence, place: str
) -> tuple[Part, Row]:
    if len(cells) != width:
        raise ValueError(f"{len(cells)} cells, but the first line names {width} columns")
    image, label, *part = (cells[index] for index in places)
    found = next((each for each in PARTS if each == part[0]), None) if part else "train"
    if found is None:
        raise ValueError(f"the part must be {', '.join(PARTS)}, not '{part[0]}'")
    return found, Row(fence.path(image, file.parent), label, place)
