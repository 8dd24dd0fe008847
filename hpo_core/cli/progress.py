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
    """A trial that runs. `epochs` is None where the objective has no such option; `started` is in epoch seconds."""

    number: int
    attempt: int
    params: dict[str, Any]
    epochs: int | None
    started: float
    step: int = 0
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
    `ended` is the event that ended the run.
    """

    about: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    finished: int = 0
    target: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"complete": 0, "pruned": 0, "fail": 0})
    best_trial: int | None = None
    best_value: float | None = None
    best_params: dict[str, Any] | None = None
    running: dict[int, TrialProgress] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    ended: Event | None = None
    _done_before: int = 0

    def apply(self, event: Event) -> None:
        """Take one event in. Called in the order of the events; kinds that change nothing here are ignored."""
        fold = {
            "study_started": self._study_started,
            "trial_started": self._trial_started,
            "report": self._report,
            "trial_finished": self._trial_finished,
            "trial_interrupted": self._trial_interrupted,
            "study_stopped": self._ended,
            "study_finished": self._ended,
            "model_registered": self._model_registered,
        }.get(event.kind)
        if fold is not None:
            fold(event)

    def seconds_left(self, now: float) -> float | None:
        """An estimate of the seconds until the target is reached, or None before there is anything to go by.

        What is done, in trials, counts the epochs of running trials too, so an estimate exists during the first trials
        and is right for any number of workers. Trials stopped early make it shrink faster than the clock.
        """
        done = self.finished - self._done_before + sum(t.share for t in self.running.values())
        if done <= 0 or now <= self.started:
            return None
        left = self.target - self._done_before - done
        return max(left, 0.0) * (now - self.started) / done

    def _study_started(self, event: Event) -> None:
        self.about, self.started = event.data, event.time
        self._totals(event.data)
        self._done_before = self.finished

    def _totals(self, data: dict[str, Any]) -> None:
        """What the whole study amounts to; an event that says nothing of a total leaves it as it was."""
        self.finished, self.target = data["finished"], data["target"]
        for state, key in (("complete", "complete"), ("pruned", "pruned"), ("fail", "failed")):
            self.counts[state] = data.get(key, self.counts[state])
        if data.get("best_trial") is not None:
            self.best_trial, self.best_value = data["best_trial"], data["best_value"]
            self.best_params = data.get("best_params", self.best_params)

    def _trial_started(self, event: Event) -> None:
        number, data = _number(event), event.data
        self.running[number] = TrialProgress(
            number, data["attempt"], data["params"], data["epochs"], event.time
        )

    def _report(self, event: Event) -> None:
        trial, value = self.running.get(_number(event)), event.data["value"]
        if trial is None:
            return
        trial.step, trial.latest = event.data["step"], value
        if self._better(value, trial.best):
            trial.best = value

    def _trial_finished(self, event: Event) -> None:
        number, data = _number(event), event.data
        trial = self.running.pop(number, None)
        self.finished += 1
        self.counts[data["state"]] += 1
        if data["state"] == "fail":
            self.failures.append(number)
        elif self._better(data["value"], self.best_value):
            self.best_trial, self.best_value = number, data["value"]
            self.best_params = trial.params if trial else None

    def _trial_interrupted(self, event: Event) -> None:
        self.running.pop(_number(event), None)

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
