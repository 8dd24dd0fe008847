"""How good each trial of a study is, where trials were trained for different numbers of epochs.

A loss after 2 epochs and a loss after 27 cannot be compared, so only an order is made: of two trials the one that was
allowed to go further is the better one, since whoever decided that had compared them at the same epoch; of two that got
equally far, the one with the better value on the way there. Completed trials got furthest, failed ones nowhere.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def ranked(trials: Sequence[FrozenTrial], direction: StudyDirection) -> list[FrozenTrial]:
    """The trials that have something to say, best first; of equals the earlier one first.

    Running trials are judged by the last epoch at which another trial was stopped or paused.
    """
    sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
    stages = _stages(trials)
    keys = {}
    for trial in trials:
        key = _key(trial, stages, sign)
        if key is not None and trial.params:
            keys[trial.number] = (*key, trial.number)
    return sorted((trial for trial in trials if trial.number in keys), key=lambda t: keys[t.number])


def _stages(trials: Iterable[FrozenTrial]) -> list[int]:
    """The epochs at which trials were stopped or paused, ascending."""
    pruned = (trial for trial in trials if trial.state is TrialState.PRUNED)
    return sorted({max(trial.intermediate_values, default=0) for trial in pruned})


def _key(trial: FrozenTrial, stages: list[int], sign: float) -> tuple[float, float] | None:
    """Less is better; None for a trial that cannot be judged yet."""
    if trial.state is TrialState.FAIL:
        return 1.0, 0.0
    if trial.state is TrialState.COMPLETE:
        return -math.inf, sign * trial.values[0]
    if trial.state not in (TrialState.PRUNED, TrialState.RUNNING):
        return None
    reported = trial.intermediate_values
    passed = bisect_right(stages, max(reported, default=0))
    stage = stages[passed - 1] if passed else 0
    values = [value for step, value in reported.items() if step <= stage]
    if not values:
        return None
    return -stage, min(values) if sign > 0 else -max(values)
