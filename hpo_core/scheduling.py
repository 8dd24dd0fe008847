"""What a trial scheduler is: a state machine over starts, reports and endings.

A trial scheduler has no clock and no storage, and is told what happens one by one. When a study continues after a
crash, the engine builds it anew and tells it everything again, in the same order; so it must not remember anything that
does not come from what it is told, and its answers must depend on nothing else. That is also why the same code runs in
a simulator and in a what-if replay of a finished study.

It is asked twice: after every report what is to become of that trial (`on_report`), and whenever there is room for
another one which it is to be (`next`). Stopping rules leave the second question to `TrialScheduler`, which starts new
trials. Pausing and promoting ones answer with `Resume`, population based ones with `Clone`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum

from hpo_core.space import Scalar, Space
from hpo_core.trial import Outcome, Report, Trial


class Verdict(StrEnum):
    """What is to become of a trial after a report."""

    CONTINUE = "continue"
    STOP = "stop"
    PAUSE = "pause"


@dataclass(frozen=True)
class Decision:
    """A verdict with its reason, for people: `rung 1: 0.41 is not among the best 3 of 9`."""

    verdict: Verdict
    reason: str = ""

    @property
    def stop(self) -> bool:
        """Whether the attempt must end now, for good or until the trial is resumed."""
        return self.verdict is not Verdict.CONTINUE

    @classmethod
    def stopped(cls, reason: str) -> Decision:
        """A decision to stop the trial for good."""
        return cls(Verdict.STOP, reason)

    @classmethod
    def paused(cls, reason: str) -> Decision:
        """A decision to end the attempt and to keep the trial, with its checkpoint, for `Resume`."""
        return cls(Verdict.PAUSE, reason)


CONTINUE = Decision(Verdict.CONTINUE)


@dataclass(frozen=True)
class Start:
    """Start a new trial, whose parameters the sampler proposes."""


@dataclass(frozen=True)
class Resume:
    """Continue a paused trial from its checkpoint."""

    number: int
    reason: str


@dataclass(frozen=True)
class Clone:
    """Start a new trial with these parameters from the newest checkpoint of `parent`.

    `params` are values by dotted name for every active parameter of the space. `replaces` is a paused trial that ends
    (as stopped, with the same reason) in exchange.
    """

    parent: int
    params: dict[str, Scalar] = field(hash=False)
    reason: str
    replaces: int | None = None


@dataclass(frozen=True)
class Wait:
    """Start nothing now. Where nothing runs either, the study is over and what is paused ends as stopped."""


Next = Start | Resume | Clone | Wait


@dataclass(frozen=True)
class SchedulerContext:
    """What a trial scheduler's factory is called with. `seed` is below 2**32 and the same in every run of the study."""

    seed: int = 0
    space: Space = field(default_factory=lambda: Space({}))


class TrialScheduler(ABC):
    """Decides after every report whether its trial goes on, and which trial runs next. One is built for each study.

    Plugins offer subclasses, or functions that build them, by `register_trial_schedulers(register)`; they are called
    with a `SchedulerContext`, and their keyword-only parameters are the options.
    """

    @abstractmethod
    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called by the study once for each step of a trial whose metrics are finite, in the order of arrival.

        `score` is the study's metric at `report.step`, turned so that higher is better. An attempt that has to repeat
        epochs (its worker was lost before they were saved) reports them again, but they are not told again.
        """

    def on_start(self, trial: Trial) -> None:  # noqa: B027  # most need not know
        """Called by the study when an attempt begins: a new trial, a clone (`trial.parent`), one resumed or retried."""

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:  # noqa: B027  # most need not know
        """Called by the study when an attempt has ended: paused, or for good (completed, stopped, failed)."""

    def next(self, room: bool) -> Next:
        """What to run next; called by the study before each start, and it may be called without a start following.

        It must not change anything: what becomes of the answer is told by `on_start`. Without `room` the study's budget
        has no place for another trial: the answer is then `Resume` or `Wait`.
        """
        return Start() if room else Wait()

    def fidelity(self) -> int | None:
        """The number of epochs whose scores a sampler is to learn from; None: each finished trial's best score.

        Comparing a trial after 1 epoch with one after 27 misleads a model. Where this is a number, the sampler is shown
        only the trials that have reported that step, as complete and with the score they had then, and those that run.
        """
        return None
