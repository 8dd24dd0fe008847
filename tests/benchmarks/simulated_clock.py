"""A study's workers on a simulated clock: training takes the time that the task says, deciding takes none.

The study, its samplers and its trial schedulers are real; only the workers are not. They do what an executor does: ask
for trials, report every epoch with a checkpoint (of which there is nothing but the name), obey decisions, and continue
a resumed trial behind the epochs that its checkpoint holds.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hpo_core import Checkpoint, Driven, Ending, Outcome, Report, Trial, Verdict

T = TypeVar("T")
WORKERS = 4


@dataclass
class Job:
    """An attempt on a worker: the curve of its configuration, and how far it has got."""

    trial: Trial
    losses: list[float]
    seconds: float
    step: int


@dataclass
class Simulation:
    """Runs a study until `limit`.

    `curve` gives the losses of a configuration and its seconds per epoch, `regret` turns a loss into a regret. `area`
    is the integral of the incumbent's regret over time, `thought` the CPU seconds of the study's answers to the
    `asked` attempts.
    """

    study: Driven
    curve: Callable[[dict[str, Any]], tuple[Any, float]]
    regret: Callable[[float], float]
    limit: float
    now: float = 0.0
    thought: float = 0.0
    asked: int = 0
    area: float = 0.0
    incumbent: float = 1.0  # as a regret
    _due: list[tuple[float, int, Job]] = field(default_factory=list)
    _order: int = 0

    def run(self) -> None:
        """Until the time is over, or the study."""
        self._fill()
        while self._due and self._due[0][0] <= self.limit:
            now, _, job = heapq.heappop(self._due)
            self._pass_time(now)
            self._epoch(job)
            self._fill()
        self._pass_time(self.limit)

    def _pass_time(self, now: float) -> None:
        self.area += self.incumbent * (now - self.now)
        self.now = now

    def _fill(self) -> None:
        """Give every idle worker a trial, while there are any."""
        while len(self._due) < WORKERS:
            trial = self._thinking(self.study.ask)
            if trial is None:
                return
            self.asked += 1
            losses, seconds = self.curve(trial.params)
            done = trial.checkpoints[0].step if trial.checkpoints else 0
            self._push(Job(trial, [float(loss) for loss in losses], seconds, done))

    def _push(self, job: Job) -> None:
        self._order += 1
        heapq.heappush(self._due, (self.now + job.seconds, self._order, job))

    def _epoch(self, job: Job) -> None:
        """A worker has finished an epoch: report it, and go on or end."""
        job.step += 1
        loss, trial = job.losses[job.step - 1], job.trial
        self.incumbent = min(self.incumbent, self.regret(loss))
        saved = Checkpoint(job.step, f"{trial.directory}/{job.step}", "0" * 64)
        report = Report(job.step, {"loss": loss}, job.seconds, saved)
        decision = self._thinking(lambda: self.study.report(trial, report))
        if decision.stop:
            paused = decision.verdict is Verdict.PAUSE
            ending = Ending.PAUSED if paused else Ending.STOPPED
        elif job.step == len(job.losses):
            ending = Ending.COMPLETED
        else:
            return self._push(job)
        self._thinking(lambda: self.study.finish(trial, Outcome(ending, decision.reason)))

    def _thinking(self, act: Callable[[], T]) -> T:
        before = time.process_time()
        try:
            return act()
        finally:
            self.thought += time.process_time() - before
