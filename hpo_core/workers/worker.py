"""A worker: a process, forked from the template, that runs one trial after another.

It lives in a session of its own, so that Ctrl-C at a terminal does not reach it, and keeps what its objectives start
below itself. It never outlives the driver: a thread reads the socket, and when the driver is gone, however it went, the
socket ends and the thread ends this process and all that it started. (The template does the same from outside, for a
worker whose threads cannot run.)
"""

from __future__ import annotations

import faulthandler
import os
import queue
import socket
import sys
import threading
import time
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import psutil

from hpo_core.catalog import Catalog
from hpo_core.execution import execute
from hpo_core.scheduling import Decision, Verdict
from hpo_core.trial import Outcome, Report, Trial
from hpo_core.workers import allocator
from hpo_core.workers.descendants import adopt_orphans, end_with_descendants
from hpo_core.workers.frames import Message, Reader, encode
from hpo_core.workers.log import captured, not_logged, write_traceback
from hpo_core.workers.memory import proportional

MEASURABLE = (
    0.1  # seconds; measuring a shorter attempt would cost a good part of what it takes itself
)
EXPENDABLE = "500"  # the kernel's out-of-memory killer takes a worker before the driver or anybody else's process

Inbox = queue.SimpleQueue[Message]


def serve(end: socket.socket, catalog: Catalog) -> NoReturn:
    """Run the trials that come over `end` until the driver kills this process. Called in the forked process."""
    os.setsid()
    adopt_orphans()
    _settle()
    orders: queue.SimpleQueue[Assignment] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(end, orders), daemon=True).start()
    end.sendall(encode({"ready": os.getpid()}))
    while True:
        assignment = orders.get()
        outcome = assignment.run(catalog)
        assignment.say({"outcome": outcome.to_json(), "spent": _spent(outcome)})


class Assignment:
    """A trial that came over the socket. Each has its own inbox and its turn.

    So a thread that an objective left behind gets no decision that is meant for the next trial on this worker, and what
    it reports is not taken for that trial's.
    """

    _saying = threading.Lock()

    def __init__(self, end: socket.socket, message: Message) -> None:
        self.inbox: Inbox = queue.SimpleQueue()
        self._end = end
        self._turn = message["turn"]
        self._trial = Trial.from_json(message["trial"])

    def say(self, message: Message) -> None:
        """Send a message of this turn to the driver."""
        with self._saying:
            self._end.sendall(encode(message | {"turn": self._turn}))

    def run(self, catalog: Catalog) -> Outcome:
        """Run the trial with its output in its log, asking the driver for a decision after each report."""
        begin = time.monotonic()
        allocator.begin()
        outcome: Outcome | None = None
        try:
            with captured(self._trial):
                outcome = execute(self._trial, catalog, self._send)
            write_traceback(self._trial, outcome)
        except OSError as error:  # the log's own: execute turns an objective's into an outcome
            if outcome is None or outcome.traceback:
                outcome = not_logged(self._trial, error)
            # otherwise it has ended well, whatever is missing in its log
        outcome = replace(outcome, peak_gpu_memory=allocator.peak())
        if time.monotonic() - begin < MEASURABLE:
            return outcome
        return replace(
            outcome, peak_memory=proportional(psutil.Process())
        )  # the driver may know of more

    def _send(self, report: Report) -> Decision:
        self.say({"report": report.to_json()})
        decision = self.inbox.get()["decision"]
        return Decision(Verdict(decision["verdict"]), decision["reason"])


def _spent(outcome: Outcome) -> bool:
    """Whether this process is to be replaced: its memory is full of who knows what, or CUDA has broken down in it.

    Only the end of a process gives everything back: a new one is forked in some 30 ms.
    """
    works = allocator.release()  # also where the process ends: others are waiting for the memory
    return outcome.out_of_memory or not works


def _listen(end: socket.socket, orders: queue.SimpleQueue[Assignment]) -> None:
    """Pass messages on; when there will be no more, end this process and all that it started."""
    reader = Reader(end)
    assignment: Assignment | None = None
    try:
        while not reader.ended:
            for message in reader.read():
                if "trial" in message:
                    assignment = Assignment(end, message)
                    orders.put(assignment)
                elif assignment is not None:
                    assignment.inbox.put(message)
    finally:
        end_with_descendants()


def _settle() -> None:
    """What a fork has to set right before it runs foreign code."""
    faulthandler.enable()  # a crash in C leaves its stack in the trial's log
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a killed worker loses at most a line
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()  # forks share numpy's global generator; Python reseeds its own
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text(EXPENDABLE)
