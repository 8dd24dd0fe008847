"""What a trial scheduler is: a state machine over reports.

A trial scheduler has no clock and no storage, and is given reports one by one. When a study continues after a crash,
the engine builds it anew and replays the reports that it had seen, in their order; so it must not remember anything
that does not come from them, and its answers must depend on nothing else. That is also why the same code runs in a
simulator and in a what-if replay of a finished study.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from hpo_core.trial import Outcome, Report, Trial


class Verdict(StrEnum):
    """What is to become of a trial after a report."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True)
class Decision:
    """A verdict with its reason, for people: `rung 1: 0.41 is not among the best 3 of 9`."""

    verdict: Verdict
    reason: str = ""

    @property
    def stop(self) -> bool:
        """Whether the trial must end now."""
        return self.verdict is Verdict.STOP

    @classmethod
    def stopped(cls, reason: str) -> Decision:
        """A decision to stop the trial for good."""
        return cls(Verdict.STOP, reason)


CONTINUE = Decision(Verdict.CONTINUE)


@runtime_checkable
class TrialScheduler(Protocol):
    """Decides after every report whether its trial goes on. One is built for each study.

    Plugins offer it by `register_trial_schedulers(register)`; the factory's keyword-only parameters are its options.
    """

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called by the study once for each report whose metrics are finite, in the order of their arrival.

        `score` is the study's metric at `report.step`, turned so that higher is better. A trial that is run again
        starts at its first step; the reports of its earlier attempts were never seen by this scheduler.
        """
        ...

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called by the study once when a trial has completed, was stopped or has failed."""
        ...
