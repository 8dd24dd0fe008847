"""What differs between a study and its file, and whether earlier trials still count after the change.

A trial says how good its parameters are, whatever range they were drawn from. So a range may be narrowed or widened
and a choice may gain alternatives; with any other change (another metric, epoch count or fixed value) old and new
trials would not be comparable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpo_core.space import Choice, is_distribution, join, label, parse


@dataclass(frozen=True)
class Change:
    """One difference, at a dotted path of the study file; `harmless` if earlier trials keep their meaning."""

    path: str
    before: Any
    after: Any
    harmless: bool

    def __str__(self) -> str:
        return f"{self.path}: {json.dumps(self.before)} became {json.dumps(self.after)}"


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Every difference between two trees of JSON types, in the order of the first."""
    if before == after:
        return
    if is_distribution(before) and is_distribution(after):
        yield from _distributions(before, after, path)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from changes(before.get(key), after.get(key), join(path, key))
    else:
        yield Change(path, before, after, harmless=False)


def _distributions(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str
) -> Iterator[Change]:
    old, new = parse(before), parse(after)
    if isinstance(old, Choice) and isinstance(new, Choice):
        known = dict(zip(new.labels, new.alternatives, strict=True))
        kept = all(each in known for each in old.labels)
        inner = [
            change
            for alternative in old.alternatives
            if label(alternative) in known
            for change in changes(
                alternative, known[label(alternative)], join(path, label(alternative))
            )
        ]
        if old.labels != new.labels:
            yield Change(path, list(old.labels), list(new.labels), harmless=kept)
        yield from inner
        return
    same_scale = type(old) is type(new) and _scale(before) == _scale(after)
    yield Change(path, dict(before), dict(after), harmless=same_scale)


def _scale(tree: Mapping[str, Any]) -> tuple[Any, Any]:
    return tree.get("log", False), tree.get("step")
