"""The contract suite for trial schedulers finds what it is there to find."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hpo_search.asha_promotion import AshaPromotion
from hpo_search.pbt import Pbt

from hpo_core import (
    CONTINUE,
    Clone,
    Decision,
    Next,
    Outcome,
    Report,
    Resume,
    SchedulerContext,
    Start,
    Trial,
    Wait,
)
from hpo_core.testing.scheduling import CONDITIONS, TrialSchedulerContract


class Clocked(AshaPromotion):
    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        time.monotonic()
        return super().on_report(trial, report, score)


class Diced(AshaPromotion):
    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        return Decision.stopped("bad luck") if random.random() < 0.1 else CONTINUE


class Counting(AshaPromotion):
    """Changes when it is asked."""

    asked = 0

    def next(self, room: bool) -> Next:
        self.asked += 1
        return super().next(room) if self.asked % 5 else Wait()


class Hasty(AshaPromotion):
    """Resumes before the worker has saved."""

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        decision = super().on_report(trial, report, score)
        if decision.stop:
            self._rungs[self._held[trial.number]].wait(trial.number)
        return decision


class Forgetful(AshaPromotion):
    """Resumes what has failed or ended."""

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        self.last = trial.number

    def next(self, room: bool) -> Next:
        return Resume(self.last, "again") if hasattr(self, "last") else super().next(room)


class Greedy(AshaPromotion):
    """Starts without room."""

    def next(self, room: bool) -> Next:
        return Start()


class Abrupt(AshaPromotion):
    """Pauses at the last epoch."""

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        return Decision.paused("enough") if report.step == 9 else CONTINUE


class Silent(AshaPromotion):
    """Stops without a reason."""

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        return Decision.stopped("")


class Careless(Pbt):
    """Clones with parameters that do not exist."""

    def next(self, room: bool) -> Next:
        answer = super().next(room)
        if isinstance(answer, Clone):
            return Clone(answer.parent, {"no such": 1}, answer.reason, answer.replaces)
        return answer


BROKEN = {
    Clocked: "test_it_has_no_clock_and_no_dice",
    Diced: "test_a_replay_decides_and_answers_the_same_at_every_moment",
    Counting: "test_asking_what_is_next_changes_nothing",
    Hasty: "test_what_it_wants_can_be_done_and_ends",
    Forgetful: "test_what_it_wants_can_be_done_and_ends",
    Greedy: "test_what_it_wants_can_be_done_and_ends",
    Abrupt: "test_what_it_wants_can_be_done_and_ends",
    Silent: "test_what_it_wants_can_be_done_and_ends",
    Careless: "test_what_it_wants_can_be_done_and_ends",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_scheduler_is_found_out(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Suite(TrialSchedulerContract):
        def scheduler(self, context: SchedulerContext) -> Any:
            return broken(context)

    test = getattr(Suite(), BROKEN[broken])
    more = {"monkeypatch": monkeypatch} if broken is Clocked else {}
    with pytest.raises((AssertionError, KeyError)):
        test(conditions=CONDITIONS["maximize"], **more)
