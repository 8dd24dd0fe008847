"""A study as rules see it: its file as it was understood, its trials, and where in the file a parameter stands."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpo_core.results.trials import ResultTrial
from hpo_core.space import (
    Choice,
    Distribution,
    Space,
    is_distribution,
    join,
    label,
    parse,
)
from hpo_core.trial import ClassReport, Goal


@dataclass(frozen=True)
class Studied:
    """A study. `identity` is the part of its file that decides what its trials are (`StudySpec.identity`).

    `classes` is what the best trial reported on classes after its best epoch, where it did.
    """

    identity: Mapping[str, Any]
    trials: tuple[ResultTrial, ...]
    classes: ClassReport | None = None

    @property
    def metric(self) -> str:
        """The study's metric."""
        return str(self.identity["metric"]["name"])

    @property
    def goal(self) -> Goal:
        """Which way it is better."""
        goal: Goal = self.identity["metric"]["goal"]
        return goal

    @property
    def objective(self) -> Mapping[str, Any]:
        """The objective's options, with distributions written out."""
        tree: Mapping[str, Any] = self.identity["objective"]
        return tree

    @functools.cached_property
    def space(self) -> dict[str, Distribution]:
        """Every parameter that a trial can have, by dotted name."""
        return Space(self.objective).parameters()

    @functools.cached_property
    def paths(self) -> dict[str, str]:
        """Where each parameter's distribution stands in the study file, by the parameter's name."""
        return dict(_paths(self.objective, "", "objective"))

    @functools.cached_property
    def finished(self) -> tuple[ResultTrial, ...]:
        """The trials that ended, well or not."""
        return tuple(trial for trial in self.trials if trial.finished)

    @functools.cached_property
    def good(self) -> tuple[ResultTrial, ...]:
        """The finished trials with a value, the best first; the earliest of equals."""
        found = [
            trial
            for trial in self.finished
            if not trial.failed and trial.value is not None and math.isfinite(trial.value)
        ]
        return tuple(sorted(found, key=lambda trial: (-self.merit(trial), trial.number)))

    def merit(self, trial: ResultTrial) -> float:
        """A good trial's value so that more is better."""
        assert trial.value is not None
        return trial.value if self.goal == "maximize" else -trial.value

    @property
    def epochs(self) -> int:
        """How many epochs a trial has that nothing stops: the objective's option, or the most that any reported."""
        planned = self.objective.get("epochs")
        most = max((trial.epochs for trial in self.trials), default=0)
        return planned if isinstance(planned, int) else most

    def planned(self, trial: ResultTrial) -> int:
        """How many epochs a trial would have had."""
        planned = trial.options.get("epochs")
        return planned if isinstance(planned, int) else self.epochs


def _paths(tree: Any, name: str, path: str) -> Iterator[tuple[str, str]]:
    """As `hpo_core.space` names parameters; alternatives are reached by their place in the choice."""
    if is_distribution(tree):
        yield name, path
        distribution = parse(tree)
        if isinstance(distribution, Choice):
            for index, alternative in enumerate(distribution.alternatives):
                inside = join(name, label(alternative))
                yield from _paths(alternative, inside, f"{path}.choice.{index}")
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _paths(item, join(name, key), join(path, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _paths(item, join(name, index), join(path, index))
