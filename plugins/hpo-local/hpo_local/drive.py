"""One run of a study over a pool of workers.

One thread drives: it asks, reports, finishes, commits, answers, and waits. What has arrived by the time it looks is
handled together and made durable with one commit, and only then are workers answered: a worker that trains on after a
report knows that the report will survive anything that happens to the driver.

A worker that dies, takes too long or holds too much memory costs the attempt that it ran, which is lost with the
reason, and is replaced; whether the trial is tried again is for the study to say. A worker that dies before it could
run anything costs no attempt, but a machine on which that happens again and again cannot run the study.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque

from hpo_core import Driven, Ending, HpoError, Interrupt, Outcome, Report, Trial
from hpo_local.attempt import Attempt, Limits
from hpo_local.frames import Message
from hpo_local.pool import Pool, Worker

TURN = 0.2  # seconds: how late an interrupt or a timeout is seen
EARLY_DEATHS = 3  # workers in a row that died before they were ready


class Drive:
    """Runs trials, `limit` of them at once, beginning with `first`, which has been asked for."""

    def __init__(self, study: Driven, pool: Pool, limit: int, limits: Limits, first: Trial) -> None:
        self._study = study
        self._pool = pool
        self._limit = limit
        self._limits = limits
        self._waiting = deque([first])  # asked for, not running
        self._dry = False  # `ask` gave None, and nothing has happened since that may change that
        self._answers: list[tuple[Worker, Message]] = []
        self._early_deaths = 0

    def run(self, interrupt: Interrupt) -> None:
        """Until nothing runs and nothing is left to start, or the user wants out now."""
        while not interrupt.now:
            self._hand_out()
            self._study.commit()
            self._answer()
            if not any(worker.attempt for worker in self._pool.workers.values()):
                return
            before = time.monotonic()
            for worker, message in self._pool.events(TURN):
                self._handle(worker, message)
            self._end_overdue(before)

    def _hand_out(self) -> None:
        """Give every free worker a trial, and fork workers for more while they may be."""
        workers = self._pool.workers.values()
        idle = deque(one for one in workers if one.attempt is None and one.doom is None)
        while (idle or len(self._pool.workers) < self._limit) and (trial := self._next()):
            worker = idle.popleft() if idle else self._pool.fork()
            attempt = Attempt(trial)
            self._pool.assign(worker, attempt)
            self._answers.append((worker, {"trial": trial.to_json(), "turn": attempt.turn}))

    def _next(self) -> Trial | None:
        if self._waiting:
            return self._waiting.popleft()
        trial = None if self._dry else self._study.ask()
        self._dry = trial is None
        return trial

    def _answer(self) -> None:
        for worker, message in self._answers:
            self._pool.send(worker, message)
            if worker.ready and worker.attempt is not None:
                worker.attempt.go(time.monotonic())
        self._answers.clear()

    def _handle(self, worker: Worker, message: Message) -> None:
        attempt = worker.attempt
        if "ready" in message:
            self._early_deaths = 0
            if attempt is not None:
                attempt.go(time.monotonic())
        elif "died" in message:
            self._bury(worker, message["died"])
        elif attempt is None or message["turn"] != attempt.turn:
            return  # from a thread that an objective left behind: its attempt has ended
        elif "report" in message:
            self._report(worker, attempt, Report.from_json(message["report"]))
        else:
            self._finish(worker, attempt, Outcome.from_json(message["outcome"]))

    def _report(self, worker: Worker, attempt: Attempt, report: Report) -> None:
        attempt.reported(report.seconds)
        decision = self._study.report(attempt.trial, report)
        self._answers.append((worker, {"decision": dataclasses.asdict(decision)}))
        self._dry = False
        self._end_if_overdue(worker, time.monotonic())

    def _finish(self, worker: Worker, attempt: Attempt, outcome: Outcome) -> None:
        self._pool.assign(worker, None)
        attempt.held(outcome.peak_memory)
        self._study.finish(attempt.trial, dataclasses.replace(outcome, peak_memory=attempt.peak))
        self._dry = False

    def _end_overdue(self, now: float) -> None:
        """Kill the workers that were over their time at `now`, unless they have been heard since."""
        for worker in self._pool.workers.values():
            if worker.heard <= now:
                self._end_if_overdue(worker, now)

    def _end_if_overdue(self, worker: Worker, now: float) -> None:
        attempt = worker.attempt
        if attempt is None:
            return
        reason = attempt.overdue(now, self._limits)
        if reason is not None:
            self._pool.kill(worker, attempt, reason)

    def _bury(self, worker: Worker, how: str) -> None:
        attempt = worker.attempt
        if attempt is None:
            return
        if worker.ready:
            self._finish(worker, attempt, Outcome(Ending.LOST, worker.doom or cause(how)))
            return
        self._waiting.append(attempt.trial)
        self._early_deaths += 1
        if self._early_deaths == EARLY_DEATHS:
            raise HpoError(
                f"{EARLY_DEATHS} workers in a row died before they were ready, the last one: {how}"
                f"{self._pool.last_words()}"
            )


def cause(how: str) -> str:
    """Why an attempt was lost whose worker died by itself, for people."""
    if how == "killed by SIGKILL":
        return f"its worker was {how} (the kernel's out-of-memory killer, or somebody)"
    if how.startswith("killed"):
        return f"its worker was {how}"
    return f"its worker ended with {how}"
