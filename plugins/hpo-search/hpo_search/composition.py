"""The trial schedulers `any` and `all`: stopping rules joined to one.

::

    trial_scheduler: {any: [{name: threshold, bound: 0.2, epochs: 3}, {name: all, of: [median, patience]}]}

`any` stops a trial when one of its rules does, `all` when every one has. A rule's verdict stands: once it has stopped a
trial it is told no more of that trial's reports, as it would be on its own, so that its rungs and medians hold only
those that it let pass.

Only stopping rules can be joined. One that chooses what runs next (pauses, promotes, clones) could not be obeyed when
another one disagrees, so it is refused when the study is built.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpo_core import (
    CONTINUE,
    Component,
    Decision,
    HpoError,
    Kind,
    Outcome,
    Report,
    SchedulerContext,
    Trial,
    TrialScheduler,
    Verdict,
)

Rules = Annotated[
    list[Component], Kind("trial_schedulers"), Field(description="stopping rules, one or more")
]


class _Joined(TrialScheduler):
    """Some rules, and the verdicts of each on the trials that still run."""

    def __init__(self, context: SchedulerContext, *, of: Rules) -> None:
        if not of:
            raise HpoError("any and all need at least one trial scheduler in their list")
        self._rules = [(rule.name, _built(rule, context)) for rule in of]
        self._verdicts: dict[int, dict[int, str]] = {}  # reasons by trial and by the rule's index

    def on_start(self, trial: Trial) -> None:
        """Called when an attempt begins."""
        for _, rule in self._rules:
            rule.on_start(trial)

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report: every rule that has not stopped this trial yet is told."""
        reasons = self._verdicts.setdefault(trial.number, {})
        for index, (name, rule) in enumerate(self._rules):
            if index in reasons:
                continue
            decision = rule.on_report(trial, report, score)
            if decision.verdict is Verdict.PAUSE:
                raise HpoError(f"the trial scheduler '{name}' pauses trials: any and all cannot")
            if decision.stop:
                reasons[index] = f"{name}: {decision.reason}"
        if not self._stops(len(reasons)):
            return CONTINUE
        return Decision.stopped("; ".join(reasons[index] for index in sorted(reasons)))

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when a trial has ended."""
        self._verdicts.pop(trial.number, None)
        for _, rule in self._rules:
            rule.on_finish(trial, outcome)

    def _stops(self, verdicts: int) -> bool:
        raise NotImplementedError


class Any(_Joined):
    """Stops a trial when one of its rules does."""

    def _stops(self, verdicts: int) -> bool:
        return verdicts > 0


class All(_Joined):
    """Stops a trial when every one of its rules has."""

    def _stops(self, verdicts: int) -> bool:
        return verdicts == len(self._rules)


def _built(rule: Component, context: SchedulerContext) -> TrialScheduler:
    """A rule, if it is one: what answers `next` or `fidelity` itself decides about more than stopping."""
    scheduler: TrialScheduler = rule.build(context)
    for method in ("next", "fidelity"):
        if getattr(type(scheduler), method) is not getattr(TrialScheduler, method):
            raise HpoError(
                f"the trial scheduler '{rule.name}' does more than stop trials: any and all can "
                f"join only stopping rules, such as median, percentile, threshold, patience and asha"
            )
    return scheduler
