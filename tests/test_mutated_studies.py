"""Good study files with anything done to them: each is still a study, or is refused as a user's mistake.

Characters, tokens and lines of the text are deleted, doubled, moved and replaced; parts of the tree are exchanged.
Whatever else than a StudySpec or an HpoError comes out of it, a traceback say, fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from toys import GOOD, toy_catalog

from hpo_core.errors import HpoError
from hpo_core.spec import StudySpec, check
from hpo_core.yaml_source import parse

CATALOG = toy_catalog()
TOKENS = re.findall(r"[\w.-]+|[^\w\s]|\s+", GOOD)
LINES = GOOD.splitlines(keepends=True)
FRAGMENTS = [*"{}[]:,'\"&*!#|>%@?-\t\n ", "~", "null", "1e-3", "-1", ".nan", "{float: [0, 1]}", "{choice: [1]}",
             "name", "*a", "&a ", "<<: ", "true", "x" * 300, "9" * 30, "é\u2028", "${env:A}", "- ", "? "]  # fmt: skip


def _edits(parts: list[str], fragments: list[str]) -> st.SearchStrategy[str]:
    """`parts` with a few of them deleted, doubled, exchanged or replaced."""
    place = st.integers(0, len(parts) - 1)

    def edit(changes: list[tuple[int, int, str, str]]) -> str:
        edited = list(parts)
        for first, second, action, fragment in changes:
            edited[first] = {
                "delete": "", "double": edited[first] * 2, "copy": edited[second],
                "replace": fragment, "insert": fragment + edited[first],
            }[action]  # fmt: skip
        return "".join(edited)

    action = st.sampled_from(["delete", "double", "copy", "replace", "insert"])
    change = st.tuples(place, place, action, st.sampled_from(fragments))
    return st.lists(change, min_size=1, max_size=4).map(edit)


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    return [path, *(place for key, item in items for place in _paths(item, (*path, key)))]


TREE: Any = parse(GOOD, "good").data
PATHS = _paths(TREE)[1:]


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _with(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of `tree` with `value` at `path`."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = _with(tree[path[0]], path[1:], value)
    return copy


swaps = st.tuples(st.sampled_from(PATHS), st.sampled_from(PATHS)).map(
    lambda pair: _with(TREE, pair[0], _at(TREE, pair[1]))
)
odd_values = st.sampled_from(
    [None, True, 0, -1, 2**63 - 1, 0.5, float("nan"), float("inf"), "", "x", [], {}, [[]], {"name": {}}, {"float": {}},
     {"int": [1, 2]}, {"choice": [None, {}]}, {"choice": [{"choice": [1]}]}, {"name": "toy", "name ": 1}]
)  # fmt: skip
odd = st.tuples(st.sampled_from(PATHS), odd_values).map(lambda pair: _with(TREE, pair[0], pair[1]))


def _succeeds_or_is_refused(read: Callable[[], StudySpec]) -> None:
    try:
        spec = read()
    except HpoError as error:
        assert error.exit_code in (3, 4)
        assert re.match(r"(s\.yaml|override):\d+:\d+: ", str(error))
        str(error).encode()
    else:
        spec.space.parameters()
        spec.space.fill(lambda _, d: d.labels[-1] if hasattr(d, "labels") else d.low)


@given(
    _edits(list(GOOD), FRAGMENTS) | _edits(TOKENS, FRAGMENTS) | _edits(LINES, [*LINES, *FRAGMENTS])
)
def test_a_mutated_text_is_a_study_or_is_refused(text: str) -> None:
    _succeeds_or_is_refused(lambda: check(parse(text, "s.yaml"), CATALOG, Path("s.yaml")))


@given(swaps | odd)
def test_a_tree_with_a_part_exchanged_is_a_study_or_is_refused(tree: Any) -> None:
    source = parse(GOOD, "s.yaml")
    changed = type(source)(source.name, source.text, tree, source.marks)
    _succeeds_or_is_refused(lambda: check(changed, CATALOG, Path("s.yaml")))
