"""A worker: a process, forked from the template, that runs one trial after another.

It lives in a session of its own, so that Ctrl-C at a terminal does not reach it and so that one signal ends it with
everything that its objectives started. It never outlives the driver: a thread reads the socket, and when the driver is
gone, however it went, the socket ends and the thread kills the process group. (The template does the same from outside,
for a worker whose threads cannot run.)
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
from io import TextIOWrapper
from typing import NoReturn

from hpo_core import Decision, Ending, Outcome, Report, Trial, Verdict
from hpo_core.catalog import Catalog
from hpo_core.execution import execute
from hpo_local.frames import Message, Reader, encode
from hpo_local.log import captured, write_traceback

Inbox = queue.SimpleQueue[Message]


def serve(end: socket.socket, catalog: Catalog) -> NoReturn:
    """Run the trials that come over `end` until the driver kills this process. Called in the forked process."""
    os.setsid()
    _settle()
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(end, inbox), daemon=True).start()
    end.sendall(encode({"ready": True}))
    while True:
        trial = Trial.from_json(inbox.get()["trial"])
        outcome = run_trial(trial, catalog, end, inbox)
        end.sendall(encode({"outcome": outcome.to_json()}))


def run_trial(trial: Trial, catalog: Catalog, end: socket.socket, inbox: Inbox) -> Outcome:
    """Run one trial with its output in its log, asking the driver for a decision after each report."""

    def send(report: Report) -> Decision:
        end.sendall(encode({"report": report.to_json()}))
        decision = inbox.get()["decision"]
        return Decision(Verdict(decision["verdict"]), decision["reason"])

    try:
        with captured(trial):
            outcome = execute(trial, catalog, send)
        write_traceback(trial, outcome)
    except OSError as error:  # the log's own: execute turns an objective's into an outcome
        return Outcome(Ending.FAILED, f"cannot write the trial's log: {error}")
    return outcome


def _listen(end: socket.socket, inbox: Inbox) -> None:
    """Pass messages on; when there will be no more, end this process and all that it started."""
    reader = Reader(end)
    try:
        while not reader.ended:
            for message in reader.read():
                inbox.put(message)
    finally:
        os.killpg(os.getpid(), signal.SIGKILL)


def _settle() -> None:
    """What a fork has to set right before it runs foreign code."""
    faulthandler.enable()  # a crash in C leaves its stack in the trial's log
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a killed worker loses at most a line
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()  # forks share numpy's global generator; Python reseeds its own
