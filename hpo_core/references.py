"""`${env:NAME}` in a study file: a value that stands outside the file, such as a password in a storage's address.

References are resolved where they are used (the driver for its storage, the worker for an objective's options) and
stored unresolved, so that what they stand for never reaches the database, an event or a log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hpo_core.errors import HpoError

_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
SHORTEST_SECRET = 4  # characters; shorter values are no secrets, and stand in every second word


class UnresolvedReferenceError(HpoError):
    """A reference names an environment variable that is not set where it is needed."""

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


def conceal(text: str, tree: Any) -> str:
    """`text`, such as an exception's, with the references of `tree` again where it quotes what they stand for."""
    for _, name in _found(tree, ()):
        value = os.environ.get(name, "")
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, f"${{env:{name}}}")
    return text


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
        return os.environ[name]
    except KeyError:
        raise UnresolvedReferenceError(
            f"the study file refers to ${{env:{name}}}, which is not set here: export {name}=..."
        ) from None
