"""A study file as it was written: its tree of JSON types, and where each part of it stands.

What is checked later (`hpo_core.spec`) knows a problem by the path of keys that leads to it; the Source turns the path
into a line and a column. A part that the command line overrides (`objective.epochs=3`) is blamed on the override.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_core.errors import LINE_BREAK, Problem, StudyFileError, UsageError, nearest
from hpo_core.yaml_tree import MAX_DEPTH, Keys, Mark, YamlTree

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Source:
    """A study file that is YAML, whatever may stand in it. `data` is a mapping; `marks` has the place of its parts."""

    name: str
    text: str
    data: Mapping[str, Any]
    marks: Mapping[Keys, Mark]

    def mark(self, keys: Keys) -> Mark:
        """The place of the part that `keys` lead to, or of the nearest part around it."""
        while keys and keys not in self.marks:
            keys = keys[:-1]
        return self.marks.get(keys, Mark(1, 1))

    def locate(self, keys: Keys, problem: Problem) -> Problem:
        """`problem` with the place of the part that `keys` lead to."""
        return dataclasses.replace(problem, **self.mark(keys)._asdict())


def read(path: Path) -> Source:
    """Read and parse a study file. Raises StudyFileError."""
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # no more: the path may name a device
    except FileNotFoundError:
        beside = (other.name for other in path.parent.glob("*.y*ml"))
        raise _error(name, "there is no such file", suggestion=nearest(path.name, beside)) from None
    except IsADirectoryError:
        raise _error(name, "this is a folder, not a study file") from None
    except OSError as error:
        raise _error(name, f"the file cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise _error(name, f"the file is larger than {MAX_BYTES:,} bytes")
    return parse(_decode(name, data), name)


def parse(text: str, name: str) -> Source:
    """Parse the text of a study file. Raises StudyFileError with every problem that could be seen at once."""
    tree = YamlTree(text)
    if tree.problems:
        raise StudyFileError(name, tree.problems, text)
    if tree.empty:
        raise _error(name, "the file is empty: `hpo init` writes a study to start from")
    if not isinstance(tree.data, dict):
        raise _error(name, "a study file is a mapping: its lines read `key: value`", text)
    return Source(name, text, tree.data, tree.marks)


def apply_override(source: Source, override: str) -> Source:
    """`source` with `key.path=value` put in its place, whatever stood there.

    The value is YAML. Mappings on the way are made where there are none, and a component's bare name becomes one with
    a `name`, so that `sampler.n_startup_trials=5` works with `sampler: tpe`. Raises UsageError when `override` is not
    of that form, StudyFileError when its value is no YAML or its path leads through a number or past a list's end.
    """
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys) or len(keys) > MAX_DEPTH:
        raise UsageError(f"'{override[:200]}' is not an override: write key.path=value")
    value = YamlTree(text)
    if value.problems:
        raise _override_error(*(_within(problem, override, path) for problem in value.problems))
    places: list[str | int] = []
    data: Any = _put(source.data, keys, value.data, places, override)
    return dataclasses.replace(
        source, data=data, marks=_marks(source, tuple(places), value, override)
    )


def _put(
    tree: Any, keys: list[str], value: Any, places: list[str | int], override: str
) -> dict[str, Any] | list[Any]:
    """A copy of `tree` with `value` under `keys`, which are noted in `places` as the tree knows them."""
    head, *rest = keys
    if isinstance(tree, list):
        index = int(head) if head.isdecimal() and len(head) < 9 else len(tree)
        if index >= len(tree):
            raise _no_way(places, override, f"has items 0 to {len(tree) - 1}, not '{head}'")
        places.append(index)
        items = list(tree)
        items[index] = _put(tree[index], rest, value, places, override) if rest else value
        return items
    entries = _entries(tree, places, override)
    places.append(head)
    entries[head] = _put(entries.get(head), rest, value, places, override) if rest else value
    return entries


def _entries(tree: Any, places: list[str | int], override: str) -> dict[str, Any]:
    """The mapping that a key may be put into."""
    if tree is None:
        return {}
    if isinstance(tree, str):
        return {"name": tree}
    if isinstance(tree, dict):
        return dict(tree)
    raise _no_way(places, override, f"is {tree}, which has nothing inside")


def _marks(source: Source, keys: Keys, value: YamlTree, override: str) -> dict[Keys, Mark]:
    """The source's marks, those of what was replaced exchanged for those of the override."""
    size = len(keys)
    marks = {place: mark for place, mark in source.marks.items() if place[:size] != keys}
    marks[keys] = Mark(1, 1, override)
    before = override.index("=") + 1
    for place, mark in value.marks.items():
        column = mark.column + before if mark.line == 1 else mark.column
        marks[(*keys, *place)] = Mark(mark.line, column, override)
    return marks


def _within(problem: Problem, override: str, path: str) -> Problem:
    """A problem of an override's value as one of the override."""
    shift = len(path) + 1 if problem.line == 1 else 0
    inner = f"{path.strip()}.{problem.path}" if problem.path else path.strip()
    return dataclasses.replace(
        problem, path=inner, column=problem.column + shift, override=override
    )


def _no_way(places: list[str | int], override: str, message: str) -> StudyFileError:
    path = ".".join(str(place) for place in places)
    return _override_error(Problem("", f"'{path}' {message}", 1, 1, override=override))


def _override_error(*problems: Problem) -> StudyFileError:
    return StudyFileError("override", problems)


def _error(
    name: str, message: str, text: str = "", suggestion: str | None = None
) -> StudyFileError:
    return StudyFileError(name, [Problem("", message, 1, 1, suggestion)], text)


def _decode(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = LINE_BREAK.split(data[: error.start].decode("utf-8-sig"))
        message = f"the file is not UTF-8: byte 0x{data[error.start]:02X} cannot be read"
        raise StudyFileError(name, [Problem("", message, len(good), len(good[-1]) + 1)]) from None
