"""Which trials a figure shows when there are too many for its lines: the best, and of the others every so many."""

from __future__ import annotations

from collections.abc import Sequence

from hpo_core.results.trials import ResultTrial

LINES = 200
"""Trials that are drawn as a line each; more of them cannot be told apart."""


def chosen(ranked: Sequence[ResultTrial], most: int = LINES) -> list[ResultTrial]:
    """At most so many of some trials that come the best first: half of them the best."""
    if len(ranked) <= most:
        return list(ranked)
    best, others = ranked[: most // 2], ranked[most // 2 :]
    room = most - len(best)
    return [*best, *(others[index * len(others) // room] for index in range(room))]


def said(shown: int, every: int) -> list[str]:
    """A note where not all are shown."""
    if shown == every:
        return []
    return [
        f"{shown} of {every} trials are drawn: the best {shown // 2}, and every so many of the others."
    ]
