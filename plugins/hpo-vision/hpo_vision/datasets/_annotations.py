"""Reads `annotations.jsonl`: a row for each label of an image, `{"image": ..., "suffix": ..., "metadata": {...}}`.

Read line by line, so the size of a file does not matter. Every line that is wrong is noted with its number, and reading
goes on: one run shows all of them. An image's path starts from the folder of the file that names it and stays below the
dataset's folder, links included: annotations from elsewhere must not make anybody's files part of a dataset.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hpo_vision.datasets.fence import Fence
from hpo_vision.datasets.found import PARTS, FoundPictures
from hpo_vision.datasets.pictures import shown
from hpo_vision.datasets.rows import Complaints, Row, arranged, divided

NAME = "annotations.jsonl"
LONGEST = 1 << 20  # bytes of a line


def find(
    path: str,
    val_fraction: float,
    test_fraction: float,
    split_seed: int,
    image_key: str = "image",
    label_key: str = "suffix",
) -> FoundPictures:
    """The pictures of a folder of annotations, divided as `jsonl` says, with the errors that it names."""
    root = Path(path).expanduser()
    title = f"dataset 'jsonl', {root}"
    if not root.is_dir():
        raise FileNotFoundError(f"dataset 'jsonl': there is no folder {root.absolute()}")
    complaints = Complaints(title)
    if (root / "train").is_dir() and (root / "val").is_dir():
        parts = {
            part: read(root / part, root, complaints, image_key, label_key)
            for part in PARTS
            if (root / part).is_dir()
        }
        return arranged(title, parts, complaints)
    rows = read(root, root, complaints, image_key, label_key)
    return divided(title, rows, complaints, val_fraction, test_fraction, split_seed)


def read(
    folder: Path,
    root: Path,
    complaints: Complaints,
    image_key: str = "image",
    label_key: str = "suffix",
) -> Iterator[Row]:
    """The rows of every `annotations.jsonl` in `folder` and below it; `root` is where images must stay.

    Lines that are wrong are added to `complaints` and left out. Raises FileNotFoundError without such a file.
    """
    files = sorted(_files(folder))
    if not files:
        raise FileNotFoundError(
            f"dataset 'jsonl': there is no {NAME} in or below {folder.absolute()}"
        )
    fence = Fence(root)
    for file in files:
        title = shown(file.relative_to(root))
        for number, line in _lines(file, complaints, title):
            place = f"{title}:{number}"
            try:
                image, label, metadata = _row(line, image_key, label_key)
                yield Row(fence.path(image, file.parent), label, place, metadata)
            except (ValueError, RecursionError) as error:
                complaints.add(place, _reason(error))


def _files(folder: Path) -> Iterator[Path]:
    for here, _, names in os.walk(
        folder
    ):  # without following links to folders: they may lead anywhere
        if NAME in names:
            yield Path(here) / NAME


def _lines(file: Path, complaints: Complaints, title: str) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    with file.open("rb") as lines:
        number = 0
        while line := lines.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                complaints.add(
                    f"{title}:{number}",
                    f"the line is longer than {LONGEST:,} bytes: no more is read",
                )
                return
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line.rstrip(b"\r\n")


def _row(line: bytes, image_key: str, label_key: str) -> tuple[str, str, dict[str, Any]]:
    row = json.loads(line.decode("utf-8"))
    if not isinstance(row, dict):
        raise ValueError(f"an object is needed, {{...}}, not {_kind(row)}")
    metadata = row.get("metadata", {})
    if not isinstance(metadata, dict):
        raise ValueError(f"'metadata' must be an object, {{...}}, not {_kind(metadata)}")
    return _text(row, image_key), _text(row, label_key), metadata


def _text(row: dict[str, Any], key: str) -> str:
    if key not in row:
        near = get_close_matches(key, row, 1)
        raise ValueError(f"there is no '{key}'" + (f" - is it '{near[0]}'?" if near else ""))
    value = row[key]
    if not isinstance(value, str):
        raise ValueError(f"'{key}' must be text in quotes, not {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"'{key}' has half a character, which is no text") from None
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON at column {error.colno}: {error.msg}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
