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
from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

from hpo_core.contracts import Driven, Interrupt
from hpo_core.errors import ExecutorError
from hpo_core.trial import Outcome, Report, Trial
from hpo_core.workers.attempt import Attempt, Limits, lost
from hpo_core.workers.frames import Message

TURN = 0.2  # seconds: how late an interrupt or a timeout is seen
EARLY_DEATHS = 3  # workers in a row that died before they were ready


class Worker(Protocol):
    """A worker as the driver sees it.

    `attempt` is what it runs, or None; `ready` whether it has begun to run anything; `doom` why it is being killed, or
    None; `heard` when it last said something, by `time.monotonic`.
    """

    attempt: Attempt | None
    ready: bool
    doom: str | None
    heard: float


W = TypeVar("W", bound=Worker)


class Workers(Protocol[W]):
    """Where trials run: a pool of workers, on this machine or on others. Called in the driver's thread alone."""

    def all(self) -> Collection[W]:
        """The workers that live, or whose death `events` is still to tell of."""
        ...

    def vacant(self) -> bool:
        """Whether `take` would find a worker."""
        ...

    def take(self) -> W:
        """A worker that runs nothing and is not being killed; it may be one that has yet to begin."""
        ...

    def assign(self, worker: W, attempt: Attempt | None) -> None:
        """Note what a worker runs from now on."""
        ...

    def send(self, worker: W, message: Message) -> None:
        """Say `{"trial": ..., "turn": ...}` or `{"decision": ...}`. A worker that has just died does not hear it."""
        ...

    def kill(self, worker: W, attempt: Attempt, reason: str) -> None:
        """Have a worker killed if it is still at this attempt; `events` tells of its death."""
        ...

    def events(self, timeout: float) -> list[tuple[W, Message]]:
        """What was said within so many seconds: `ready`, `report`, `outcome`, and `{"died": how}` as the last word.

        Reports and outcomes come with the `turn` of their trial; an outcome that says `spent` is the last of its
        worker, which is then killed. Raises ExecutorError when no trial could run any more.
        """
        ...

    def last_words(self) -> str:
        """What dying workers printed, to be put behind a message; may be empty."""
        ...


class Drive(Generic[W]):
    """Runs trials on the workers there are, beginning with those that have been `asked` for."""

    def __init__(self, study: Driven, pool: Workers[W], limits: Limits, *asked: Trial) -> None:
        self._study = study
        self._pool = pool
        self._limits = limits
        self._waiting = deque(asked)  # not running
        self._dry = False  # `ask` gave None, and nothing has happened since that may change that
        self._answers: list[tuple[W, Message]] = []
        self._early_deaths = 0

    def run(self, interrupt: Interrupt) -> None:
        """Until nothing runs and nothing is left to start, or the user wants out now."""
        while not interrupt.now:
            self._hand_out()
            self._study.commit()
            self._answer()
            if self._over():
                return
            before = time.monotonic()
            for worker, message in self._pool.events(TURN):
                self._handle(worker, message)
            self._end_overdue(before)

    def _over(self) -> bool:
        """Whether nothing is left to start and nothing runs."""
        idle = not any(worker.attempt for worker in self._pool.all())
        return idle and self._dry and not self._waiting

    def _hand_out(self) -> None:
        """Give every vacant worker a trial."""
        while self._pool.vacant() and (trial := self._next()):
            worker = self._pool.take()
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

    def _handle(self, worker: W, message: Message) -> None:
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
            if message.get("spent"):
                self._pool.kill(worker, attempt, "no attempt can run in its process any more")
            self._finish(worker, attempt, Outcome.from_json(message["outcome"]))

    def _report(self, worker: W, attempt: Attempt, report: Report) -> None:
        attempt.reported(report.seconds)
        decision = self._study.report(attempt.trial, report)
        self._answers.append((worker, {"decision": dataclasses.asdict(decision)}))
        self._dry = False
        self._end_if_overdue(worker, time.monotonic())

    def _finish(self, worker: W, attempt: Attempt, outcome: Outcome) -> None:
        self._pool.assign(worker, None)
        self._study.finish(attempt.trial, attempt.measured(outcome))
        self._dry = False

    def _end_overdue(self, now: float) -> None:
        """Kill the workers that were over their time at `now`, unless they have been heard since."""
        for worker in self._pool.all():
            if worker.heard <= now:
                self._end_if_overdue(worker, now)

    def _end_if_overdue(self, worker: W, now: float) -> None:
        attempt = worker.attempt
        if attempt is None:
            return
        reason = attempt.overdue(now, self._limits)
        if reason is not None:
            self._pool.kill(worker, attempt, reason)

    def _bury(self, worker: W, how: str) -> None:
        attempt = worker.attempt
        if attempt is None:
            return
        if worker.ready:
            self._finish(worker, attempt, lost(worker.doom or cause(how)))
            return
        self._waiting.append(attempt.trial)
        self._early_deaths += 1
        if self._early_deaths == EARLY_DEATHS:
            raise ExecutorError(
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
