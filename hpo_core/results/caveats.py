"""What figures cannot show, in words: said beside them, so that nobody reads more out of few runs than is in them."""

from __future__ import annotations

from collections.abc import Sequence

from hpo_core.results import significance
from hpo_core.results.runs import Runs
from hpo_core.results.significance import TestResult


def of_ranking(runs: Runs, complete: int, friedman: TestResult | None, pairs: int) -> list[str]:
    """What to say of a ranking: so many `complete` blocks, and at most so many `pairs` in a test of two levels."""
    notes = []
    most = max(len(each) for each in runs.by_level.values())
    if most == 2:
        notes.append("intervals of two runs are their range, and no more")
    if any(run.share < 1 for each in runs.by_level.values() for run in each.values()):
        notes.append(
            "some runs were stopped early or failed: levels are ordered by the mean part of their epochs that they "
            "reached, then by the mean at the epoch that all their runs reached"
        )
    if not runs.blocks or len(runs.by_level) < 2:
        return notes
    levels = len(runs.by_level)
    if friedman is None:
        notes.append(
            "no Friedman test: it takes three levels and two blocks in which all have a run (there are "
            f"{levels} and {complete})"
        )
    comparisons = levels - 1
    least = min(1.0, significance.least_p(pairs) * comparisons)
    if least > significance.LEVEL:
        notes.append(
            f"too few blocks to tell any two levels apart: with {pairs} pairs the least p after Holm's correction of "
            f"{comparisons} is {least:.2g}; it takes {significance.pairs_needed(comparisons)}"
        )
    return notes


def of_pairs(pairs: Sequence[int | None]) -> list[str]:
    """What to say of comparisons with one level: how many pairs each has, None where runs are not paired."""
    notes = []
    if None in pairs:
        notes.append("runs are not paired: they share fewer than two blocks (--blocks names them)")
    most = max((each for each in pairs if each is not None), default=None)
    if most is not None and significance.least_p(most) * len(pairs) > significance.LEVEL:
        needed = significance.pairs_needed(len(pairs))
        notes.append(f"too few pairs for a test to show anything: {most}, and it takes {needed}")
    return notes
