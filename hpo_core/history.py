"""What a study's events add up to: where every trial stands, and how much of the budget is used.

A driver applies each event as it happens; one that continues a study applies the stored ones in the same order. Both
then know the same, because there is no other way to learn anything: history is the state.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hpo_core.scheduling import CONTINUE, Decision, Verdict
from hpo_core.trial import Checkpoint, Event, Report


class Standing(StrEnum):
    """Where a trial stands between two events."""

    RUNNING = "running"
    PAUSED = "paused"  # by the trial scheduler, which may resume it
    REQUEUED = (
        "requeued"  # its attempt was lost or interrupted: it runs again as soon as there is room
    )
    FINISHED = "finished"


@dataclass
class Progress:
    """One trial. `step` is the highest that was told to the trial scheduler, `first` the one that a clone began with.

    `reports` are the latest of each step, until the trial is finished; `best` is the best of them and `saved` the best
    that came with a checkpoint, each with its score. `checkpoints` are newest first, those of a clone's parent at the
    end. `out_of_memory` of the `losses` were for want of memory.
    """

    number: int
    attempt: int = 0
    losses: int = 0
    standing: Standing = Standing.RUNNING
    parent: int | None = None
    first: int = 0
    step: int = 0
    seconds: float = 0.0
    out_of_memory: int = 0
    peak_memory: int | None = None
    peak_gpu_memory: int | None = None
    decision: Decision = CONTINUE
    diverged: bool = False
    reports: dict[int, Report] = field(default_factory=dict)
    best: Report | None = None
    best_score: float = -math.inf
    saved: Report | None = None
    saved_score: float = -math.inf
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def repeats(self, step: int) -> bool:
        """Whether a step was told before, by an attempt that did not live to save it."""
        return step <= self.step


class History:
    """Applies events. `score` turns a report into the study's metric so that higher is better.

    `located` is a checkpoint's path as it is now, for the study's folder may have been renamed since.
    """

    def __init__(
        self, score: Callable[[Report], float], located: Callable[[str], str] = lambda path: path
    ) -> None:
        self.drivers = 0  # that have run the study, this one included when it has begun
        self.trials: dict[int, Progress] = {}
        self.unfinished: dict[int, Progress] = {}
        self.requeued: deque[int] = deque()
        self.running: dict[int, None] = {}  # their numbers
        self.finished = 0
        self.epochs = 0
        self._score = score
        self._located = located
        self._earlier = 0.0  # seconds that drivers before this one ran
        self._began: float | None = None
        self._latest = 0.0

    def seconds(self, now: float) -> float:
        """How long drivers have run this study; `now` in the same clock as the events."""
        return self._earlier + (0.0 if self._began is None else max(0.0, now - self._began))

    def apply(self, event: Event) -> None:
        """Take one event into account; events come in the order of their `seq`."""
        if event.kind == "study_started":
            self.drivers += 1
            self.rest()
            self._began = self._latest = event.time
        if event.time > self._latest:
            self._latest = event.time
        step = _STEPS.get(event.kind)
        if step is not None and event.trial is not None:
            step(self, event.trial, event.data)

    def rest(self) -> None:
        """No driver runs after the last event: time counts again when the next one begins."""
        if self._began is not None:
            self._earlier += max(0.0, self._latest - self._began)
            self._began = None

    def adopt(self, number: int) -> None:
        """Count a finished trial that no event tells of: somebody added it through Optuna."""
        self.trials[number] = Progress(number, standing=Standing.FINISHED)
        self.finished += 1

    def _started(self, number: int, data: dict[str, Any]) -> None:
        progress = self.trials.get(number)
        if progress is None:
            progress = self.trials[number] = self.unfinished[number] = Progress(number)
            progress.parent = data.get("parent")
            if progress.parent is not None:
                progress.first = progress.step = data["parent_step"]
                progress.checkpoints = [self._checkpoint(data["checkpoint"])]
        elif progress.standing is Standing.REQUEUED:
            self.requeued.remove(number)
        progress.standing = Standing.RUNNING
        progress.decision = CONTINUE
        progress.attempt = data["attempt"]
        self.running[number] = None

    def _reported(self, number: int, data: dict[str, Any]) -> None:
        progress = self.trials[number]
        given = data.get("checkpoint")
        checkpoint = None if given is None else self._checkpoint(given)
        report = Report(data["step"], data["metrics"], data["seconds"], checkpoint)
        if not progress.repeats(report.step):
            self.epochs += report.step - progress.step
            progress.step = report.step
        if data["decision"] != "continue":  # which it is since the attempt began
            progress.decision = Decision(Verdict(data["decision"]), data["reason"])
        progress.seconds += report.seconds
        if checkpoint is not None:
            progress.checkpoints.insert(0, checkpoint)
        if data.get("by") == "metric":
            progress.diverged = True
            return
        again = report.step in progress.reports
        progress.reports[report.step] = report
        if not again:
            self._rank(progress, report, self._score(report))
            return
        progress.best = progress.saved = None
        for each in progress.reports.values():
            self._rank(progress, each, self._score(each))

    def _checkpoint(self, data: dict[str, Any]) -> Checkpoint:
        return Checkpoint(data["step"], self._located(data["path"]), data["sha256"])

    def _rank(self, progress: Progress, report: Report, score: float) -> None:
        """Compare a report with the best ones of its trial; of equals the first counts."""
        if progress.best is None or score > progress.best_score:
            progress.best, progress.best_score = report, score
        if report.checkpoint is None:
            return
        if progress.saved is None or score > progress.saved_score:
            progress.saved, progress.saved_score = report, score

    def _paused(self, number: int, data: dict[str, Any]) -> None:
        self._ended(number, Standing.PAUSED, data)

    def _interrupted(self, number: int, data: dict[str, Any]) -> None:
        self._ended(number, Standing.REQUEUED, data)
        self.requeued.append(number)

    def _lost(self, number: int, data: dict[str, Any]) -> None:
        self._interrupted(number, data)
        self.trials[number].losses += 1
        self.trials[number].out_of_memory += bool(data.get("out_of_memory"))

    def _finished(self, number: int, data: dict[str, Any]) -> None:
        if number not in self.trials:  # refused before it was started
            self.trials[number] = Progress(number, standing=Standing.PAUSED)
        progress = self.trials[number]
        if progress.standing is Standing.REQUEUED:
            self.requeued.remove(number)
        self._ended(number, Standing.FINISHED, data)
        self.unfinished.pop(number, None)
        progress.reports = {}
        progress.checkpoints = []
        self.finished += 1

    def _ended(self, number: int, standing: Standing, data: dict[str, Any]) -> None:
        progress = self.trials[number]
        self.running.pop(number, None)
        progress.standing = standing
        progress.peak_memory = _most(progress.peak_memory, data.get("peak_memory"))
        progress.peak_gpu_memory = _most(progress.peak_gpu_memory, data.get("peak_gpu_memory"))


def _most(known: int | None, new: int | None) -> int | None:
    return known if new is None else max(new, known or 0)


_STEPS: dict[str, Callable[[History, int, dict[str, Any]], None]] = {
    "trial_started": History._started,
    "report": History._reported,
    "trial_paused": History._paused,
    "trial_interrupted": History._interrupted,
    "trial_lost": History._lost,
    "trial_finished": History._finished,
}
