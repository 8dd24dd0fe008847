"""The contract suite for trial schedulers: subclass it in a plugin's tests and say how to build yours.

::

    class TestAsha(TrialSchedulerContract):
        def scheduler(self, context):
            return Asha(context, reduction_factor=3)

What a trial scheduler promises in the end: a study that was killed at any moment and continued goes on as if nothing
had happened, and whatever the scheduler wants can be done. The first is tried by replaying what it was told into a new
one, the second by obeying it in simulated studies (`hpo_core.testing.simulated_study`).
"""

from __future__ import annotations

import random
import time
from typing import Any, NoReturn

import numpy as np
import pytest

from hpo_core.scheduling import SchedulerContext, TrialScheduler
from hpo_core.testing.simulated_study import Answers, Conditions, Moment, SimulatedStudy

CONDITIONS = {
    "maximize": Conditions(),
    "minimize, every second epoch": Conditions("minimize", stride=2),
    "no known end, every third epoch": Conditions(stride=3, known_end=False),
    "all alike": Conditions(flat=True, space="conditional"),
    "lost workers": Conditions(losses=0.1, space="conditional", seed=7),
    "lost workers, no known end": Conditions(losses=0.1, known_end=False, seed=8),
    "one worker": Conditions("minimize", workers=1, trials=40, space="conditional"),
    "more workers than trials": Conditions(workers=30, epochs=27, failing=False),
}


@pytest.mark.parametrize("conditions", CONDITIONS.values(), ids=CONDITIONS)
class TrialSchedulerContract:
    """What every trial scheduler promises. Subclasses build a new one in `scheduler`."""

    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        """Call the factory with the context and options of the subclass's choice."""
        raise NotImplementedError

    def test_what_it_wants_can_be_done_and_ends(self, conditions: Conditions) -> None:
        scheduler = self.scheduler(conditions.context)
        assert isinstance(scheduler, TrialScheduler)
        study = SimulatedStudy(scheduler, conditions)
        moments = study.run()
        assert len(study.attempts) <= conditions.trials
        assert all(attempt.state == "ended" for attempt in study.attempts)
        assert any(moment.told.said is None for moment in moments)  # it ran something

    def test_a_replay_decides_and_answers_the_same_at_every_moment(
        self, conditions: Conditions
    ) -> None:
        moments = self._play(conditions)
        continued = self.scheduler(conditions.context)
        for moment in moments:
            assert moment.told.to(continued) == moment.decision
            assert Answers.of(continued) == moment.answers

    def test_asking_what_is_next_changes_nothing(self, conditions: Conditions) -> None:
        moments = self._play(conditions)
        for last in range(0, len(moments), max(1, len(moments) // 10)):
            quiet = self.scheduler(conditions.context)  # never asked before the last moment
            for moment in moments[: last + 1]:
                assert moment.told.to(quiet) == moment.decision
            for _ in range(3):
                assert Answers.of(quiet) == moments[last].answers

    def test_it_has_no_clock_and_no_dice(
        self, conditions: Conditions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moments = self._play(conditions)
        other = self.scheduler(conditions.context)
        with monkeypatch.context() as patch:
            _forbid(patch)
            again = [(moment.told.to(other), Answers.of(other)) for moment in moments]
        assert again == [(moment.decision, moment.answers) for moment in moments]

    def _play(self, conditions: Conditions) -> list[Moment]:
        return SimulatedStudy(self.scheduler(conditions.context), conditions).run()


def _forbid(patch: pytest.MonkeyPatch) -> None:
    """Make the clocks and the dice that a whole process shares raise."""
    forbidden: list[tuple[Any, tuple[str, ...]]] = [
        (time, ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns")),
        (random, ("random", "uniform", "randint", "randrange", "choice", "choices", "shuffle")),
        (random, ("sample", "gauss", "normalvariate", "seed")),
        (np.random, ("rand", "randn", "random", "randint", "uniform", "normal", "choice")),
    ]
    for module, names in forbidden:
        for name in names:
            patch.setattr(module, name, _refuse)


def _refuse(*arguments: object, **options: object) -> NoReturn:
    raise AssertionError("a trial scheduler may go by what it is told alone: no clock, no dice")
