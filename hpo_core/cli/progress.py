"""Where a study stands, folded from its events: what the live view draws and the summary tells.

A view is told nothing but events. So the live view, the plain lines and the summary agree with each other, and can be
tested by feeding them events; whoever has stored events can see a study again as it was seen at the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from hpo_core.trial import Event


@dataclass
class TrialProgress:
    """A trial that has begun. `epochs` is None where the objective has no such option; `started` is in epoch seconds.

    `step` is the last epoch of the current attempt, `reached` the highest of all attempts, and `saved` that of the
    newest checkpoint, from which the next attempt goes on.
    """

    number: int
    attempt: int
    params: dict[str, Any]
    epochs: int | None
    started: float
    step: int = 0
    reached: int = 0
    saved: int = 0
    latest: float | None = None
    best: float | None = None

    @property
    def share(self) -> float:
        """The share of its epochs that are behind it, 0 to 1; 0 where the epochs are unknown."""
        return min(self.step / self.epochs, 1.0) if self.epochs else 0.0


@dataclass
class Progress:
    """A study as its events tell it. `about` holds the data of `study_started`, empty before that event.

    A trial that was pruned can be the best one, a failed one cannot. `counts` are of finished trials by state; they
    cover the earlier runs of a continued study once `study_finished` has said so, and only this run until then.
    `waiting` are the trials that this run has paused or put back. `target` is None where trials are not limited.
    `ended` is the event that ended the run.
    """

    about: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    finished: int = 0
    target: int | None = None
    epochs: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"complete": 0, "pruned": 0, "fail": 0})
    best_trial: int | None = None
    best_value: float | None = None
    best_params: dict[str, Any] | None = None
    running: dict[int, TrialProgress] = field(default_factory=dict)
    waiting: dict[int, TrialProgress] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    ended: Event | None = None
    _done_before: int = 0
    _epochs_before: int = 0

    def apply(self, event: Event) -> None:
        """Take one event in. Called in the order of the events; kinds that change nothing here are ignored."""
        fold = {
            "study_started": self._study_started,
            "trial_started": self._trial_started,
            "report": self._report,
            "trial_finished": self._trial_finished,
            "trial_paused": self._trial_waits,
            "trial_interrupted": self._trial_waits,
            "trial_lost": self._trial_waits,
            "study_stopped": self._ended,
            "study_finished": self._ended,
            "model_registered": self._model_registered,
        }.get(event.kind)
        if fold is not None:
            fold(event)

    @property
    def leader(self) -> tuple[int, float] | None:
        """The trial with the best value so far, and the value: a finished one, or one that waits and has this much."""
        best = None if self.best_trial is None else (self.best_trial, self.best_value)
        for trial in self.waiting.values():
            if self._better(trial.best, None if best is None else best[1]):
                best = (trial.number, trial.best)
        return best  # type: ignore[return-value]  # a best trial has a value

    @property
    def limits(self) -> dict[str, float]:
        """The totals at which the study is over, by unit: `trials`, `epochs`, `hours`."""
        budget = self.about.get("budget", {}) | {"trials": self.target}
        units = ("trials", "epochs", "hours")
        return {unit: budget[unit] for unit in units if budget.get(unit) is not None}

    def hours(self, now: float) -> float:
        """How long the study has been run, in all its runs."""
        earlier: float = self.about.get("seconds", 0.0)
        return (earlier + max(0.0, now - self.started)) / 3600

    def share(self, now: float) -> float:
        """The used share of the budget, 0 to 1, by the limit that is nearest."""
        used = {"trials": self.finished, "epochs": self.epochs, "hours": self.hours(now)}
        shares = (used[unit] / limit for unit, limit in self.limits.items() if limit)
        return min(max(shares, default=0.0), 1.0)

    def seconds_left(self, now: float) -> float | None:
        """An estimate of the seconds until the first limit is reached, or None before there is anything to go by.

        What is done, in trials, counts the epochs of running trials too, so an estimate exists during the first trials
        and is right for any number of workers; a paused trial counts as done, for it may never be resumed. Trials
        stopped early make it shrink faster than the clock.
        """
        elapsed, limits = now - self.started, self.limits
        if elapsed <= 0:
            return None
        estimates = []
        if "trials" in limits:
            under_way = len(self.waiting) + sum(trial.share for trial in self.running.values())
            done = self.finished - self._done_before + under_way
            estimates.append((done, limits["trials"] - self._done_before - done))
        if "epochs" in limits:
            done = self.epochs - self._epochs_before
            estimates.append((done, limits["epochs"] - self.epochs))
        seconds = [max(left, 0.0) * elapsed / done for done, left in estimates if done > 0]
        if "hours" in limits:
            seconds.append(max(limits["hours"] - self.hours(now), 0.0) * 3600)
        return min(seconds, default=None)

    def _study_started(self, event: Event) -> None:
        self.about, self.started = event.data, event.time
        self._totals(event.data)
        self._done_before, self._epochs_before = self.finished, self.epochs

    def _totals(self, data: dict[str, Any]) -> None:
        """What the whole study amounts to; an event that says nothing of a total leaves it as it was."""
        self.finished, self.target = data["finished"], data["target"]
        self.epochs = data["epochs"]
        for state, key in (("complete", "complete"), ("pruned", "pruned"), ("fail", "failed")):
            self.counts[state] = data.get(key, self.counts[state])
        if data.get("best_trial") is not None:
            self.best_trial, self.best_value = data["best_trial"], data["best_value"]
            self.best_params = data.get("best_params", self.best_params)

    def _trial_started(self, event: Event) -> None:
        number, data = _number(event), event.data
        trial = TrialProgress(number, data["attempt"], data["params"], data["epochs"], event.time)
        before = self.waiting.pop(number, None)
        if before is not None:
            trial.reached, trial.saved, trial.best = before.reached, before.saved, before.best
        elif "parent_step" in data:
            trial.reached = trial.saved = data["parent_step"]
        trial.step = trial.saved
        self.running[number] = trial

    def _report(self, event: Event) -> None:
        trial, data = self.running.get(_number(event)), event.data
        if trial is None:
            return
        trial.step, trial.latest = data["step"], data["value"]
        if not data.get("repeated"):
            known = (
                trial.reached or trial.attempt == 1
            )  # else the earlier epochs are of another run
            self.epochs += trial.step - trial.reached if known else 1
            trial.reached = trial.step
        if "checkpoint" in data:
            trial.saved = trial.step
        if self._better(data["value"], trial.best):
            trial.best = data["value"]

    def _trial_finished(self, event: Event) -> None:
        number, data = _number(event), event.data
        trial = self.running.pop(number, None) or self.waiting.pop(number, None)
        self.finished += 1
        self.counts[data["state"]] += 1
        if data["state"] == "fail":
            self.failures.append(number)
        elif self._better(data["value"], self.best_value):
            self.best_trial, self.best_value = number, data["value"]
            self.best_params = trial.params if trial else None

    def _trial_waits(self, event: Event) -> None:
        trial = self.running.pop(_number(event), None)
        if trial is not None:
            self.waiting[trial.number] = trial

    def _ended(self, event: Event) -> None:
        self._totals(event.data)
        self.ended = event

    def _model_registered(self, event: Event) -> None:
        self.models.append(event.data | {"trial": event.trial})

    def _better(self, value: float | None, than: float | None) -> bool:
        if value is None or not math.isfinite(value):
            return False
        if than is None:
            return True
        return value > than if self.about.get("goal") == "maximize" else value < than


def _number(event: Event) -> int:
    if event.trial is None:
        raise ValueError(f"event {event.seq} ({event.kind}) names no trial")
    return event.trial
