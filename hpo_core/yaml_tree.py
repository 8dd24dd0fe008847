"""YAML text to a tree of JSON types, with the place of every part, and nothing else.

Only PyYAML's parser is used, which gives a stream of events: neither its composer, which a few lines of aliases can
make explode, nor any of its constructors, which build objects, ever runs. The pure parser, not libyaml, because its
messages and columns are then the same everywhere; a study file takes it some milliseconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml import events

from hpo_core.errors import LINE_BREAK, Problem
from hpo_core.yaml_scalars import resolve

Keys = tuple[str | int, ...]

MAX_DEPTH = 50
MAX_NODES = 10_000  # aliases counted as often as they are used

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Mark(NamedTuple):
    """A place, counted from 1: of the key for an entry of a mapping, of the item in a list.

    `override` is the `key=value` of the command line that the place lies in, or None for the file.
    """

    line: int
    column: int
    override: str | None = None


class SyntaxProblemError(Exception):
    """Reading cannot go on; `problem` says why. Never leaves this module."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True)
class _Node:
    """A part of the tree; `size` counts its nodes, `height` its levels, both with aliases written out."""

    data: Any
    size: int = 1
    height: int = 0


@dataclass
class YamlTree:
    """The tree that a YAML text holds: `data`, the `marks` of its parts, and the `problems` found on the way.

    `data` is None when the problems did not let it be read to its end, or when there is nothing in the text.
    """

    text: str
    data: Any = None
    marks: dict[Keys, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    empty: bool = False

    def __post_init__(self) -> None:
        self._anchors: dict[str, _Node | None] = {}  # None while the node is being read
        self._nodes = 0
        try:
            _check_characters(self.text)
            self._parser = yaml.SafeLoader(self.text)
            self._document()
        except SyntaxProblemError as error:
            self.problems.append(error.problem)

    def _next(self) -> Any:
        """The next event of the parser."""
        try:
            return self._parser.get_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs
        except yaml.MarkedYAMLError as error:
            context = f"{error.context}: " if error.context else ""
            mark = error.problem_mark or error.context_mark or self._parser.get_mark()
            raise self._syntax(mark, f"{context}{error.problem}") from None
        except (ValueError, OverflowError):
            # PyYAML does not check the range of "\UFFFFFFFF" or of a directive's version
            mark = self._parser.get_mark()
            raise self._syntax(mark, "an escape or a version is out of range") from None

    def _document(self) -> None:
        self._next()  # the start of the stream
        if isinstance(self._next(), events.StreamEndEvent):
            self.empty = True
            return
        data = self._node(self._next(), (), 0).data
        self._next()  # the end of the document
        following = self._next()
        if not isinstance(following, events.StreamEndEvent):
            raise self._stop(following, (), "a second document starts here: one file, one study")
        self.data, self.empty = data, data is None

    def _node(self, event: Any, keys: Keys, depth: int) -> _Node:
        if isinstance(event, events.AliasEvent):
            return self._alias(event, keys, depth)
        self._count(event, keys, 1, depth)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._blame(event, keys, f"a study file has no tags: take {tag} away")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, events.ScalarEvent):
            node = _Node(self._scalar(event, keys))
        elif isinstance(event, events.SequenceStartEvent):
            node = self._list(keys, depth)
        else:
            node = self._mapping(keys, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _list(self, keys: Keys, depth: int) -> _Node:
        items: list[_Node] = []
        while not isinstance(event := self._next(), events.SequenceEndEvent):
            place = (*keys, len(items))
            self._mark(event, place)
            items.append(self._node(event, place, depth + 1))
        return _parent([item.data for item in items], items)

    def _mapping(self, keys: Keys, depth: int) -> _Node:
        items: list[_Node] = []
        data: dict[str, Any] = {}
        while not isinstance(event := self._next(), events.MappingEndEvent):
            key = self._node(event, keys, depth + 1)
            place = (*keys, str(key.data))
            if not isinstance(key.data, str):
                shown = json.dumps(key.data)[:60]
                self._blame(event, keys, f"a key must be text, got {shown}: put it in quotes")
            elif key.data in data:
                first = self.marks[place]
                message = f"the key is given twice, first at {first.line}:{first.column}"
                self._blame(event, place, message)
            else:
                self._mark(event, place)
            items += [key, self._node(self._next(), place, depth + 1)]
            if isinstance(key.data, str):
                data[key.data] = items[-1].data
        return _parent(data, items)

    def _alias(self, event: events.AliasEvent, keys: Keys, depth: int) -> _Node:
        if event.anchor not in self._anchors:
            raise self._stop(event, keys, f"there is no anchor '&{event.anchor}' above")
        node = self._anchors[event.anchor]
        if node is None:
            raise self._stop(event, keys, f"the alias '*{event.anchor}' stands inside itself")
        self._count(event, keys, node.size, depth + node.height)
        return node

    def _scalar(self, event: events.ScalarEvent, keys: Keys) -> Any:
        text = event.value
        if unprintable := _UNPRINTABLE.search(text):
            self._blame(event, keys, f"text holds the {_name(unprintable.group())}")
            return ""
        if not event.implicit[0]:
            return text
        try:
            return resolve(text)
        except OverflowError as error:
            self._blame(event, keys, str(error))
            return 0

    def _count(self, event: Any, keys: Keys, size: int, depth: int) -> None:
        self._nodes += size
        if self._nodes > MAX_NODES:
            raise self._stop(
                event, keys, f"the file holds more than {MAX_NODES} values, its aliases written out"
            )
        if depth > MAX_DEPTH:
            raise self._stop(
                event, keys[:1], f"values are nested more than {MAX_DEPTH} levels deep"
            )

    def _mark(self, event: Any, place: Keys) -> None:
        self.marks[place] = Mark(event.start_mark.line + 1, event.start_mark.column + 1)

    def _problem(self, mark: Any, keys: Keys, message: str) -> Problem:
        path = ".".join(str(key) for key in keys)
        return Problem(path, message, line=mark.line + 1, column=mark.column + 1)

    def _blame(self, event: Any, keys: Keys, message: str) -> None:
        self.problems.append(self._problem(event.start_mark, keys, message))

    def _stop(self, event: Any, keys: Keys, message: str) -> SyntaxProblemError:
        return SyntaxProblemError(self._problem(event.start_mark, keys, message))

    def _syntax(self, mark: Any, message: str) -> SyntaxProblemError:
        line = LINE_BREAK.split(self.text)[mark.line]
        indentation = line[: len(line) - len(line.lstrip())]
        if "\t" in indentation:
            message = "a tab in the indentation: YAML is indented with spaces"
            column = indentation.index("\t") + 1
            return SyntaxProblemError(Problem("", message, line=mark.line + 1, column=column))
        return SyntaxProblemError(self._problem(mark, (), f"not YAML: {message}"))


def _parent(data: Any, items: list[_Node]) -> _Node:
    height = 1 + max((item.height for item in items), default=0)
    return _Node(data, 1 + sum(item.size for item in items), height)


def _check_characters(text: str) -> None:
    if found := _UNPRINTABLE.search(text):
        before = LINE_BREAK.split(text[: found.start()])
        message = f"the file holds the {_name(found.group())}, which YAML does not allow"
        raise SyntaxProblemError(Problem("", message, line=len(before), column=len(before[-1]) + 1))


def _name(character: str) -> str:
    return f"control character U+{ord(character):04X}"
