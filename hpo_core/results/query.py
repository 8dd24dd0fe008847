"""A question about trials as a value, and its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from hpo_core.errors import UsageError, nearest
from hpo_core.results import conditions, trials
from hpo_core.results.names import Names
from hpo_core.results.trials import ResultTrial
from hpo_core.storage import studies
from hpo_core.storage.studies import StudyRecord

STATES = ("complete", "pruned", "fail", "running", "paused")


@dataclass(frozen=True)
class Query:
    """Which trials, in which order, and how many.

    `studies` by name, none: all. `options` are values that options must have, by name: `{"lr_scheduler": "cosine"}`.
    `max_epoch` looks at trials as they stood after so many epochs. `where` is a condition
    (`hpo_core.results.conditions`). `sort` names what to sort by, with a leading `-` to have the greatest first; what
    is missing comes last.
    """

    studies: Sequence[str] = ()
    states: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    max_epoch: int | None = None
    where: str | None = None
    sort: str | None = None
    limit: int | None = None


def find(engine: Engine, query: Query) -> list[ResultTrial]:
    """The trials that a query asks for. Raises UsageError with the nearest word where it names what is not there."""
    for state in query.states:
        if state not in STATES:
            raise UsageError(f"there is no state '{state}'{_guess(state, STATES)}")
    records = named(engine, query.studies)
    every = [trial for record in records for trial in trials.read(engine, record, query.max_epoch)]
    found = every
    if query.states:
        found = [trial for trial in found if trial.state in query.states]
    names = Names(every)
    for option, wanted in query.options.items():
        found = _with(found, every, names, option, wanted)
    if query.where is not None and every:
        test = conditions.parse(query.where, every)
        found = [trial for trial in found if test(trial)]
    if query.sort is not None and every:
        found = _sorted(found, names, query.sort)
    return found[: query.limit]


def named(engine: Engine, names: Sequence[str]) -> list[StudyRecord]:
    """The studies called so, or all of them, by name. Raises UsageError with the nearest name."""
    every = studies.all_studies(engine)
    by_name = {record.name: record for record in every}
    for name in names:
        if name not in by_name:
            raise UsageError(f"there is no study '{name}'{_guess(name, by_name)}")
    return [by_name[name] for name in dict.fromkeys(names)] if names else every


def _with(
    found: list[ResultTrial], every: list[ResultTrial], names: Names, option: str, wanted: Any
) -> list[ResultTrial]:
    """Those of which an option has a value; one that no trial at all has is a slip of the pen."""
    if not every:
        return found
    key = names.option(option)
    values = {str(key.of(trial)) for trial in every}
    if str(wanted) not in values:
        raise UsageError(f"no trial has the {option} '{wanted}'{_guess(str(wanted), values)}")
    return [trial for trial in found if str(key.of(trial)) == str(wanted)]


def _sorted(found: list[ResultTrial], names: Names, sort: str) -> list[ResultTrial]:
    key = names.key(sort.removeprefix("-"))
    known: list[ResultTrial] = []
    rest: list[ResultTrial] = []
    for trial in found:
        value = key.of(trial)
        (rest if value is None or value != value else known).append(trial)  # NaN equals nothing
    try:
        known.sort(key=lambda trial: key.of(trial), reverse=sort.startswith("-"))
    except TypeError:  # numbers and texts
        known.sort(key=lambda trial: str(key.of(trial)), reverse=sort.startswith("-"))
    return known + rest


def _guess(word: str, words: Iterable[str]) -> str:
    words = sorted(words)
    guess = nearest(word, words)
    if guess:
        return f" - did you mean '{guess}'?"
    return f" (there is: {', '.join(words[:20]) or 'none'})"
