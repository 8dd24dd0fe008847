"""The executor `processes`: trials in warm worker processes on this machine.

One thread drives: it asks, reports, finishes, commits, answers, and waits. What has arrived by the time it looks is
handled together and made durable with one commit, and only then are workers answered: a worker that trains on after a
report knows that the report will survive anything that happens to the driver.

A worker that dies costs the trial that it ran, which fails with the reason, and is replaced. One that dies before it
could run anything costs no trial, but a machine on which that happens again and again cannot run the study.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Annotated, Literal

from pydantic import Field

from hpo_core import Driven, Ending, HpoError, Interrupt, Outcome, Report, Trial
from hpo_local.cores import usable_cores
from hpo_local.frames import Message
from hpo_local.pool import Pool, Worker

TURN = 0.2  # seconds: how late an interrupt is seen
EARLY_DEATHS = 3  # workers in a row that died before they were ready


class Processes:
    """Implements `hpo_core.Executor`. Built once for a study."""

    def __init__(
        self,
        *,
        workers: Annotated[
            Annotated[int, Field(ge=1)] | Literal["auto"],
            Field(
                description="trials that run at once; auto: one for each processor core, at most 8"
            ),
        ] = "auto",
        threads: Annotated[
            int | None,
            Field(ge=1, description="threads that a worker computes with; null: cores / workers"),
        ] = None,
        startup_timeout: Annotated[
            float, Field(gt=0, description="seconds that importing the objective may take")
        ] = 300.0,
    ) -> None:
        cores = usable_cores()
        self.workers = min(cores, 8) if workers == "auto" else workers
        self.threads = threads or max(1, cores // self.workers)
        self.startup_timeout = startup_timeout

    def run(self, study: Driven, interrupt: Interrupt) -> None:
        """See `hpo_core.Executor.run`. Raises HpoError when workers cannot be started."""
        first = study.ask()
        if first is None:
            study.commit()
            return
        with Pool(first.objective, self._environment(), self.startup_timeout) as pool:
            Drive(study, pool, self.workers, first).run(interrupt)

    def _environment(self) -> dict[str, str]:
        """What numerical libraries read when they are loaded. More threads than cores makes torch many times slower."""
        return {name: str(self.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


class Drive:
    """One run of a study over a pool."""

    def __init__(self, study: Driven, pool: Pool, limit: int, first: Trial) -> None:
        self._study = study
        self._pool = pool
        self._limit = limit
        self._waiting = deque([first])  # asked for, not running
        self._dry = False  # `ask` gave None, and no trial has finished since
        self._answers: list[tuple[Worker, Message]] = []
        self._early_deaths = 0

    def run(self, interrupt: Interrupt) -> None:
        """Until nothing runs and nothing is left to start, or the user wants out now."""
        while not interrupt.now:
            self._hand_out()
            self._study.commit()
            self._answer()
            if not any(worker.trial for worker in self._pool.workers.values()):
                return
            for worker, message in self._pool.events(TURN):
                self._handle(worker, message)

    def _hand_out(self) -> None:
        """Give every free worker a trial, and fork workers for more while they may be."""
        idle = deque(worker for worker in self._pool.workers.values() if worker.trial is None)
        while (idle or len(self._pool.workers) < self._limit) and (trial := self._next()):
            worker = idle.popleft() if idle else self._pool.fork()
            worker.trial = trial
            self._answers.append((worker, {"trial": trial.to_json()}))

    def _next(self) -> Trial | None:
        if self._waiting:
            return self._waiting.popleft()
        trial = None if self._dry else self._study.ask()
        self._dry = trial is None
        return trial

    def _answer(self) -> None:
        for worker, message in self._answers:
            self._pool.send(worker, message)
        self._answers.clear()

    def _handle(self, worker: Worker, message: Message) -> None:
        trial = worker.trial
        if "ready" in message:
            worker.ready = True
            self._early_deaths = 0
        elif "died" in message:
            self._bury(worker, message["died"])
        elif trial is not None and "report" in message:
            decision = self._study.report(trial, Report.from_json(message["report"]))
            self._answers.append((worker, {"decision": dataclasses.asdict(decision)}))
        elif trial is not None and "outcome" in message:
            self._finish(worker, trial, Outcome.from_json(message["outcome"]))

    def _finish(self, worker: Worker, trial: Trial, outcome: Outcome) -> None:
        worker.trial = None
        self._dry = False
        self._study.finish(trial, outcome)

    def _bury(self, worker: Worker, how: str) -> None:
        if worker.trial is None:
            return
        if worker.ready:
            outcome = Outcome(Ending.FAILED, f"worker died: {how}")
            self._finish(worker, worker.trial, outcome)
            return
        self._waiting.append(worker.trial)
        self._early_deaths += 1
        if self._early_deaths == EARLY_DEATHS:
            raise HpoError(
                f"{EARLY_DEATHS} workers in a row died before they were ready, the last one: {how}"
                f"{self._pool.last_words()}"
            )
