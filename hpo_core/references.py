"""`${env:NAME}` in a study file: a value that stands outside the file, such as a password in a storage's address.

References are resolved where they are used (the driver for its storage, the worker for an objective's options) and
stored unresolved, so that what they stand for never reaches the database, an event or a log.

Whoever is given what a reference stands for may quote it, in an exception, a warning or a line of its own. So a process
remembers, by name, what it has resolved, and every text on its way out is concealed: reasons by the ledger, what is
printed by `hpo_core.concealed`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from hpo_core.errors import HpoError

_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
SHORTEST_SECRET = 4  # characters; shorter values are no secrets, and stand in every second word

_used: set[str] = set()
"""The variables that this process has resolved or drives a study with. Their values stay in the environment alone."""


class UnresolvedReferenceError(HpoError):
    """A reference names an environment variable that is not set where it is needed."""

    exit_code = 3


class UnfitReferenceError(HpoError):
    """What a reference stands for is no value of its option."""

    exit_code = 3


def resolve(tree: Any) -> Any:
    """`tree` with every reference in its strings replaced. Raises UnresolvedReferenceError."""
    if isinstance(tree, str):
        return _REFERENCE.sub(_value, tree)
    if isinstance(tree, Mapping):
        return {key: resolve(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [resolve(item) for item in tree]
    return tree


def missing(
    tree: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The variables that are referred to and not set in this process, each with its path in the tree."""
    return ((place, name) for place, name in _found(tree, path) if name not in os.environ)


def blanked(text: str) -> str:
    """`text` without its references: what stands in it itself."""
    return _REFERENCE.sub("", text)


def names(tree: Any) -> list[str]:
    """The variables that are referred to, each once, sorted."""
    return sorted({name for _, name in _found(tree, ())})


def remember(tree: Any) -> None:
    """Conceal what the references of `tree` stand for, although others resolve them. Called by a study's driver."""
    _used.update(names(tree))


def conceal(text: str) -> str:
    """`text`, such as an exception's, with references again where it quotes what they stand for."""
    spelled = {word: name for name in sorted(_used) for word in _spellings(name)}
    if not spelled:
        return text
    longest_first = sorted(spelled, key=len, reverse=True)  # one may begin with another
    pattern = "|".join(map(re.escape, longest_first))
    return re.sub(pattern, lambda found: f"${{env:{spelled[found[0]]}}}", text)


def _spellings(name: str) -> set[str]:
    """What a variable stands for, as Python, JSON, URLs and messages of one line write it."""
    value = os.environ.get(name, "")
    escaped = {repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe=""), unquote(value)}
    words = {value, " ".join(value.split()), *escaped}
    return {word for word in words if len(word) >= SHORTEST_SECRET}


def _found(tree: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The variables that are referred to, each with its path in the tree."""
    if isinstance(tree, str):
        for name in _REFERENCE.findall(tree):
            yield path, name
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _found(item, (*path, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _found(item, (*path, index))


def _value(match: re.Match[str]) -> str:
    name = match.group(1)
    try:
        value = os.environ[name]
    except KeyError:
        raise UnresolvedReferenceError(
            f"the study file refers to ${{env:{name}}}, which is not set here: export {name}=..."
        ) from None
    _used.add(name)
    return value
