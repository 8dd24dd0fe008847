"""`{tier: 1}` where a study file takes a component: the choice of all components of that tier.

A plugin says of what it offers how early it is worth trying (`register("resnet18", resnet18, tier=1)`): tier 1 first.
The choice is made when the study is checked, so what is stored and run names every component. Options beside `tier` are
given to each of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hpo_core.catalog import noun
from hpo_core.complaints import show
from hpo_core.errors import PluginError, Problem
from hpo_core.options import Path, options_of

if TYPE_CHECKING:
    from hpo_core.checking import Checker

TIER = "tier"
SEARCH = "search"
"""`search: true` beside a component's name: search its options over the ranges that its plugin suggests."""


def is_tier(tree: Any) -> bool:
    """Whether a component is given by its tier."""
    return isinstance(tree, Mapping) and TIER in tree and "name" not in tree


def expanded(
    checker: Checker, kind: str, tree: Mapping[str, Any], path: Path, searchable: bool
) -> dict[str, Any] | None:
    """Check `{tier: N, option: value}`; the choice that it stands for, or None where there was a problem."""
    names = _names(checker, kind, tree[TIER], (*path, TIER))
    if names and not searchable:
        checker.blame(path, "only options of the objective can be searched, and a tier is a choice")
    if not names or not searchable:
        return None
    given = {key: value for key, value in tree.items() if key != TIER}
    inner = dataclasses.replace(checker, problems=[])
    spared = _without_ranges(checker, kind, names) if given.get(SEARCH) is True else set()
    alternatives = [
        inner.component(kind, {"name": name, **_given(given, name in spared)}, path, searchable)
        for name in names
    ]
    checker.problems += _first_of_each_place(inner.problems)
    return None if inner.problems else {"choice": alternatives}


def _names(checker: Checker, kind: str, tier: Any, path: Path) -> list[str]:
    """The components of a tier, sorted; none where there is a problem."""
    known = checker.catalog.tiers(kind)
    if isinstance(tier, bool) or not isinstance(tier, int):
        checker.blame(path, f"a tier is a whole number, got {show(tier)}")
    elif tier not in known:
        others = ", ".join(map(str, known))
        there = f"there are the tiers {others}" if known else "none has a tier"
        checker.blame(path, f"no {noun(kind)} is of tier {tier}: {there}")
    else:
        return known[tier]
    return []


def _without_ranges(checker: Checker, kind: str, names: list[str]) -> set[str]:
    """Those with nothing to search, unless that holds for all: `search: true` is then refused."""
    found = set()
    for name in names:
        try:
            options = options_of(checker.catalog.entry(kind, name).factory)
        except (PluginError, TypeError, ValueError, NameError):
            continue  # checking the component says so
        if SEARCH not in options and all(option.range is None for option in options.values()):
            found.add(name)
    return found if len(found) < len(names) else set()


def _given(given: Mapping[str, Any], spared: bool) -> dict[str, Any]:
    return {key: value for key, value in given.items() if not (spared and key == SEARCH)}


def _first_of_each_place(
    problems: list[tuple[Path, Problem]],
) -> Iterator[tuple[Path, Problem]]:
    """What is wrong with an option, said of the first component that does not take it and not of all."""
    seen: set[Path] = set()
    for path, problem in problems:
        if path not in seen:
            seen.add(path)
            yield path, problem
