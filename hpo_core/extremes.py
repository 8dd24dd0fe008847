"""The extreme values of distributions: what is checked as values where a study file searches.

If an option takes both ends of a range, it takes what lies between; of a choice every alternative is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpo_core.options import Path
from hpo_core.space import Float, Int, is_distribution, parse


def extremes(tree: Any) -> Iterator[tuple[Path, Any]]:
    """Values without distributions to check instead of `tree`, each with the place in `tree` to blame for it."""
    if is_distribution(tree):
        yield from _ends(tree)
    else:
        yield from (((), item) for item in _examples(tree))


def _ends(tree: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """The extreme values of a distribution, each with its place in the mapping."""
    distribution = parse(tree)
    if isinstance(distribution, Float | Int):
        kind = "int" if isinstance(distribution, Int) else "float"
        yield (kind, 0), distribution.low
        yield (kind, 1), distribution.high
        return
    for index, alternative in enumerate(distribution.alternatives):
        if is_distribution(alternative):
            for place, value in _ends(alternative):
                yield ("choice", index, *place), value
        else:
            for value in _examples(alternative):
                yield ("choice", index), value


def _examples(tree: Any) -> list[Any]:
    """Values without distributions that together visit both ends of every distribution in a tree."""
    if is_distribution(tree):
        return [value for _, value in _ends(tree)]
    if isinstance(tree, Mapping):
        columns = {key: _examples(item) for key, item in tree.items()}
        return [dict(zip(columns, row, strict=True)) for row in _rows(list(columns.values()))]
    if isinstance(tree, list):
        return [list(row) for row in _rows([_examples(item) for item in tree])]
    return [tree]


def _rows(columns: list[list[Any]]) -> list[tuple[Any, ...]]:
    longest = max((len(column) for column in columns), default=1)
    return [
        tuple(column[min(index, len(column) - 1)] for column in columns) for index in range(longest)
    ]
