"""A small study in which everything happens: the ground on which trial schedulers are tried.

Several workers advance in random order. Some trials fail, some workers are lost and their trials repeat epochs, and
between a decision to pause and the end of the attempt others report. It does what `hpo_core.study` promises to a trial
scheduler and checks each answer against what a study could obey; it has no storage and no clock.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import Any

from hpo_core.scheduling import (
    Clone,
    Decision,
    Next,
    Resume,
    SchedulerContext,
    Start,
    TrialScheduler,
    Verdict,
    Wait,
)
from hpo_core.space import Choice, Distribution, Scalar, Space
from hpo_core.testing.search import SPACES, assert_within
from hpo_core.trial import Ending, Goal, Outcome, Report, Trial


@dataclass(frozen=True)
class Conditions:
    """What is minimised or maximised, epochs between reports, whether trials know their end, and what goes wrong."""

    goal: Goal = "maximize"
    stride: int = 1
    known_end: bool = True
    flat: bool = False
    trials: int = 24
    workers: int = 4
    epochs: int = 9
    failing: bool = True
    losses: float = 0.0
    space: str = "flat"
    seed: int = 5

    @property
    def context(self) -> SchedulerContext:
        """What the trial scheduler is built with."""
        return SchedulerContext(self.seed, SPACES[self.space])


@dataclass(frozen=True)
class Told:
    """One thing that a trial scheduler was told; `said` is None for the start of an attempt."""

    trial: Trial
    said: Report | Outcome | None
    score: float = 0.0

    def to(self, scheduler: TrialScheduler) -> Decision | None:
        """Tell it to a scheduler; what it decided, if there was something to decide."""
        if isinstance(self.said, Report):
            return scheduler.on_report(self.trial, self.said, self.score)
        if isinstance(self.said, Outcome):
            scheduler.on_finish(self.trial, self.said)
        else:
            scheduler.on_start(self.trial)
        return None


@dataclass(frozen=True)
class Answers:
    """All that a trial scheduler says when it is asked."""

    with_room: Next
    without: Next
    fidelity: int | None

    @classmethod
    def of(cls, scheduler: TrialScheduler) -> Answers:
        """Ask a scheduler everything."""
        return cls(scheduler.next(True), scheduler.next(False), scheduler.fidelity())


@dataclass(frozen=True)
class Moment:
    """What was told, what was decided, and what the scheduler would have run next."""

    told: Told
    decision: Decision | None
    answers: Answers


@dataclass
class _Attempt:
    """A trial of the simulation, and how its last attempt stands."""

    trial: Trial
    step: int
    told: int
    state: str = "running"  # or lost, paused, ended
    outcome: Outcome | None = None  # how it will end when its worker gets to it


@dataclass
class SimulatedStudy:
    """Runs a study to its end; `moments` is then everything that happened. AssertionError where a promise is broken."""

    scheduler: TrialScheduler
    conditions: Conditions
    moments: list[Moment] = field(default_factory=list)
    attempts: list[_Attempt] = field(default_factory=list)

    def run(self) -> list[Moment]:
        """Until nothing runs and nothing is to be started; what is paused then ends."""
        dice = random.Random(self.conditions.seed)
        most = 20 * self.conditions.trials * (self.conditions.epochs + 2)
        while True:
            while len(self._in("running")) < self.conditions.workers and self._start(dice):
                pass
            running = self._in("running")
            if not running:
                break
            self._advance(dice.choice(running), dice)
            self._check(self.scheduler.next(True), room=True)
            self._check(self.scheduler.next(False), room=False)
            assert len(self.moments) < most, "the study does not end"
        for attempt in self._in("paused"):
            self._end(attempt, Outcome(Ending.STOPPED, "the study is over"))
        assert isinstance(self.scheduler.next(False), Wait)
        return self.moments

    @property
    def room(self) -> bool:
        """Whether the budget has a place for another trial."""
        return len(self.attempts) < self.conditions.trials

    def _in(self, state: str) -> list[_Attempt]:
        return [attempt for attempt in self.attempts if attempt.state == state]

    def _start(self, dice: random.Random) -> bool:
        """Start what comes next, if there is something: lost trials first."""
        lost = self._in("lost")
        if lost:
            self._again(lost[0])
            return True
        answer = self.scheduler.next(self.room)
        self._check(answer, self.room)
        if isinstance(answer, Wait):
            return False
        if isinstance(answer, Resume):
            self._again(self.attempts[answer.number])
        elif isinstance(answer, Clone):
            self._clone(answer, dice)
        else:
            self._begin(_filled(SPACES[self.conditions.space], dice))
        return True

    def _begin(self, params: dict[str, Scalar], parent: int | None = None, step: int = 0) -> None:
        number = len(self.attempts)
        space = SPACES[self.conditions.space]
        config = space.fill(lambda path, _: params[path])
        config.pop("epochs", None)
        if self.conditions.known_end:
            config["epochs"] = self.conditions.epochs
        trial = Trial(
            number=number,
            attempt=1,
            objective="simulated",
            params=params,
            config=config,
            seed=number,
            metric="metric",
            goal=self.conditions.goal,
            directory="/nowhere",
            parent=parent,
            parent_step=step,
        )
        self.attempts.append(_Attempt(trial, step, step))
        self._tell(Told(trial, None))

    def _again(self, attempt: _Attempt) -> None:
        attempt.trial = replace(attempt.trial, attempt=attempt.trial.attempt + 1)
        attempt.state, attempt.outcome = "running", None
        self._tell(Told(attempt.trial, None))

    def _clone(self, clone: Clone, dice: random.Random) -> None:
        step = self.attempts[clone.parent].told
        replaced = [] if clone.replaces is None else [self.attempts[clone.replaces]]
        first = dice.random() < 0.5  # a scheduler must not depend on which of the two is told first
        for attempt in replaced:
            attempt.state = "ended"
            if first:
                self._end(attempt, Outcome(Ending.STOPPED, clone.reason))
        self._begin(clone.params, clone.parent, step)
        for attempt in replaced:
            if not first:
                self._end(attempt, Outcome(Ending.STOPPED, clone.reason))

    def _advance(self, attempt: _Attempt, dice: random.Random) -> None:
        """The next thing that a worker does: an epoch, the end, or its death."""
        epochs, number = self.conditions.epochs, attempt.trial.number
        if dice.random() < self.conditions.losses:
            first = attempt.trial.parent_step
            attempt.state, attempt.step = "lost", max(first, attempt.told - dice.randrange(3))
            return
        if attempt.outcome is not None:
            return self._end(attempt, attempt.outcome)
        if attempt.step < epochs:
            attempt.step = min(attempt.step + self.conditions.stride, epochs)
            if self.conditions.failing and (
                number % 11 == 3 or (number % 7 == 5 and attempt.step >= 4)
            ):
                why = f"metric is nan at step {attempt.step}"
                return self._end(attempt, Outcome(Ending.FAILED, why))
            if attempt.step > attempt.told:
                self._report(attempt)
        if attempt.step == epochs and attempt.outcome is None:
            attempt.outcome = Outcome(Ending.COMPLETED)

    def _report(self, attempt: _Attempt) -> None:
        trial, step = attempt.trial, attempt.step
        attempt.told = step
        dice = random.Random(f"{trial.number}/{step}")
        quality = random.Random(f"{trial.number}").random()
        score = quality * (1 - math.exp(-step / 3)) + dice.gauss(0, 0.02)
        score = 0.5 if self.conditions.flat else score
        metric = score if trial.goal == "maximize" else -score
        report = Report(step, {"metric": metric}, seconds=dice.random())
        decision = self._tell(Told(trial, report, score))
        assert isinstance(decision, Decision)
        assert bool(decision.reason.strip()) == decision.stop
        assert "\n" not in decision.reason
        if decision.stop:
            assert step != trial.epochs, "a trial must not be stopped or paused at its last epoch"
            paused = decision.verdict is Verdict.PAUSE
            attempt.outcome = Outcome(Ending.PAUSED if paused else Ending.STOPPED, decision.reason)

    def _end(self, attempt: _Attempt, outcome: Outcome) -> None:
        attempt.state = "paused" if outcome.ending is Ending.PAUSED else "ended"
        attempt.outcome = None
        self._tell(Told(attempt.trial, outcome))

    def _tell(self, told: Told) -> Decision | None:
        decision = told.to(self.scheduler)
        answers = Answers.of(self.scheduler)
        self.moments.append(Moment(told, decision, answers))
        return decision

    def _check(self, answer: Next, room: bool) -> None:
        """Fail unless a study could do what the scheduler wants."""
        assert isinstance(answer, Start | Resume | Clone | Wait)
        assert room or isinstance(answer, Resume | Wait), f"there is no room for {answer}"
        if isinstance(answer, Resume):
            self._can_go_on(answer.number)
            assert answer.reason.strip()
        if isinstance(answer, Clone):
            parent = self.attempts[answer.parent]
            assert not (self.conditions.known_end and parent.told >= self.conditions.epochs)
            assert answer.reason.strip()
            if answer.replaces is not None:
                self._can_go_on(answer.replaces)
            assert_active(SPACES[self.conditions.space], answer.params)

    def _can_go_on(self, number: int) -> None:
        attempt = self.attempts[number]
        assert attempt.state == "paused", f"trial {number} is {attempt.state}, not paused"
        assert not (self.conditions.known_end and attempt.told >= self.conditions.epochs)


def assert_active(space: Space, params: dict[str, Scalar]) -> None:
    """Fail unless these are values of exactly the parameters that are active with them."""
    seen: dict[str, Any] = {}

    def suggest(path: str, distribution: Distribution) -> Scalar:
        assert_within(distribution, params[path])
        seen[path] = params[path]
        return params[path]

    space.fill(suggest)
    assert seen == params


def _filled(space: Space, dice: random.Random) -> dict[str, Scalar]:
    """Parameters at random: an end of each range, or any alternative."""
    params: dict[str, Scalar] = {}

    def suggest(path: str, distribution: Distribution) -> Scalar:
        if isinstance(distribution, Choice):
            params[path] = dice.choice(distribution.labels)
        else:
            params[path] = dice.choice((distribution.low, distribution.high))
        return params[path]

    space.fill(suggest)
    return params
