"""What a sampler is shown of a study, which is not what is stored.

Samplers know complete, pruned, failed and running trials. A paused trial is none of these, and a value after one epoch
beside one after 27 misleads every model (Falkner et al. 2018, 3.2). So, while a sampler proposes, it sees

- where the trial scheduler names no fidelity: finished and running trials as they are, paused ones as pruned with their
  best value so far;
- where it names one, `s` epochs: the trials that have reported step s, as complete with the value they had then, and
  those that run and have not got there.

Failed trials are shown as failed, and what somebody enqueued through Optuna as waiting. The view is kept up to date
trial by trial, for a study of 10,000 trials cannot be read anew for each proposal.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hpo_core.history import Progress, Standing


class Evidence:
    """Holds the view; `Record` says which trials have changed.

    `distributions` are those of the space as it is now, by name. Its ranges may have been changed since a trial was
    proposed: samplers compare distributions, so a trial is shown with those of now, and one that they do not hold is
    not shown.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        self._distributions = distributions
        self._alike: dict[tuple[str, int], BaseDistribution] = {}  # equal to one of now, by its id
        self._all: dict[int, FrozenTrial] = {}
        self._results: set[int] = set()  # of those that are no longer running and did not fail
        self._fidelity: int | None = None
        self._numbers: list[int] = []  # of the trials that have reported the fidelity, ascending
        self._at: list[FrozenTrial] = []  # and how they stood then

    def update(self, frozen: FrozenTrial, progress: Progress) -> None:
        """A trial has changed: it was resumed, reported, paused or finished."""
        fitted = self._fit(frozen)
        if fitted is None:
            return
        ended = progress.standing in (Standing.PAUSED, Standing.FINISHED)
        if ended and frozen.state is not TrialState.FAIL:
            self._results.add(frozen.number)
        else:
            self._results.discard(frozen.number)  # resumed, say
        frozen = fitted
        paused = progress.standing is Standing.PAUSED
        self._all[frozen.number] = _paused(frozen, progress) if paused else frozen
        if self._fidelity is not None:
            self._place(frozen)

    def show(self, fidelity: int | None, others: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """The list for a sampler, by number; `others` are the running and the enqueued trials as they are now."""
        if fidelity is None:
            view = self._all | {frozen.number: frozen for frozen in self._fitting(others)}
            return [view[number] for number in sorted(view)]
        if fidelity != self._fidelity:
            self._fidelity, self._numbers, self._at = fidelity, [], []
            for frozen in self._all.values():
                self._place(frozen)
        running = self._fitting(others)
        return self._at + [each for each in running if fidelity not in each.intermediate_values]

    def results(self, fidelity: int | None) -> int:
        """How many results are shown, running and failed trials aside."""
        return len(self._results if fidelity is None else self._at)

    def _fit(self, frozen: FrozenTrial) -> FrozenTrial | None:
        """A trial with the distributions of now, or None if they do not hold its parameters."""
        if all(map(self._is_alike, frozen.distributions, frozen.distributions.values())):
            return frozen
        fitted = copy.copy(frozen)
        fitted.distributions = {}
        for name, value in frozen.params.items():
            distribution = self._distributions.get(name)
            try:
                if distribution is None or not distribution._contains(
                    distribution.to_internal_repr(value)
                ):
                    return None
            except ValueError:  # no alternative of a choice
                return None
            fitted.distributions[name] = distribution
        return fitted

    def _is_alike(self, name: str, distribution: BaseDistribution) -> bool:
        """Whether a distribution is that of now. Trials share theirs, and comparing takes a microsecond each."""
        if (name, id(distribution)) in self._alike:
            return True
        if self._distributions.get(name) != distribution:
            return False
        self._alike[name, id(distribution)] = distribution  # held, so that its id stays its own
        return True

    def _fitting(self, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        return [fitted for frozen in trials if (fitted := self._fit(frozen)) is not None]

    def _place(self, frozen: FrozenTrial) -> None:
        assert self._fidelity is not None
        value = frozen.intermediate_values.get(self._fidelity)
        index = bisect_left(self._numbers, frozen.number)
        there = index < len(self._numbers) and self._numbers[index] == frozen.number
        if value is None or not math.isfinite(value) or frozen.state is TrialState.FAIL:
            if there:
                del self._numbers[index], self._at[index]
        elif there:  # an attempt that repeats the step may report another value
            self._at[index] = _as(frozen, TrialState.COMPLETE, value)
        else:
            self._numbers.insert(index, frozen.number)
            self._at.insert(index, _as(frozen, TrialState.COMPLETE, value))


def _paused(frozen: FrozenTrial, progress: Progress) -> FrozenTrial:
    """As a trial that was stopped, if it has a value."""
    best = progress.best
    value = None if best is None else frozen.intermediate_values[best.step]
    return _as(frozen, TrialState.PRUNED, value)


def _as(frozen: FrozenTrial, state: TrialState, value: float | None) -> FrozenTrial:
    """A copy that differs in state and value alone: everything else is shared and not changed by a sampler."""
    shown = copy.copy(frozen)
    shown.state = state
    shown.values = None if value is None else [value]
    return shown
