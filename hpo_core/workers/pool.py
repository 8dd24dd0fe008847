"""The driver's side of the template and its workers: starts them, carries messages, and leaves nothing behind."""

from __future__ import annotations

import itertools
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from typing import Self

import psutil

from hpo_core.errors import ExecutorError, PluginError
from hpo_core.workers.attempt import Attempt, Limits
from hpo_core.workers.descendants import kill_tree
from hpo_core.workers.frames import Message, Reader, encode
from hpo_core.workers.memory import Gauge, Running
from hpo_core.workers.template import ended

CLOSING = 10.0  # seconds that the template has to kill its workers before it is killed itself


class Worker:
    """A worker as the driver sees it. `attempt` is what it runs, or None.

    `ready` is whether it has begun; `process` is then what to measure, unless it has ended already. `doom` is why it is
    being killed, `heard` when it last said something.
    """

    def __init__(self, number: int, end: socket.socket) -> None:
        self.number = number
        self.reader = Reader(end)
        self.attempt: Attempt | None = None
        self.ready = False
        self.process: psutil.Process | None = None
        self.doom: str | None = None
        self.heard = 0.0


class Pool:
    """One template and up to `size` workers forked from it. Implements `hpo_core.workers.drive.Workers`.

    Used as a context manager; leaving it ends every process.
    """

    def __init__(
        self,
        objective: str,
        size: int,
        environment: dict[str, str],
        startup_timeout: float,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self.workers: dict[int, Worker] = {}
        self._size = size
        self._limits = limits
        self._lock = threading.Lock()  # over who runs what, and over what is said to the template
        self._numbers = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._words = tempfile.TemporaryFile()  # what is printed outside of trials
        self._timeout = startup_timeout
        self._deadline: float | None = time.monotonic() + startup_timeout
        self._control, theirs = socket.socketpair()
        with theirs:
            command = ["-P", "-m", "hpo_core.workers.template", str(theirs.fileno()), objective]
            self._template = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                pass_fds=[theirs.fileno()],
                env=os.environ | environment,
                start_new_session=True,
            )
        self._reader = Reader(self._control)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._gauge = Gauge(self._running, self._measured)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, what they started, and the template; takes at most a few seconds.

        Closing the sockets is enough: each of the processes sees it and ends itself, as when the driver is killed.
        """
        self._gauge.close()
        for worker in self.workers.values():
            worker.reader.end.close()
        self._control.close()
        self._selector.close()
        try:
            self._template.wait(CLOSING)
        except subprocess.TimeoutExpired:
            self._template.kill()
            self._template.wait()
        for worker in self.workers.values():  # if the template did not come to it
            if worker.process is not None:
                kill_tree(worker.process)
        self._words.close()

    def all(self) -> Collection[Worker]:
        """See `hpo_core.workers.drive.Workers`."""
        return self.workers.values()

    def vacant(self) -> bool:
        """See `hpo_core.workers.drive.Workers`."""
        return self._idle() is not None or len(self.workers) < self._size

    def take(self) -> Worker:
        """A worker that runs nothing, or a new one: it can be sent to at once."""
        return self._idle() or self._fork()

    def _idle(self) -> Worker | None:
        free = (one for one in self.workers.values() if one.attempt is None and one.doom is None)
        return next(free, None)

    def _fork(self) -> Worker:
        """A new worker, which begins when the template has forked it."""
        ours, theirs = socket.socketpair()
        worker = Worker(next(self._numbers), ours)
        with theirs, self._lock:
            self._order({"worker": worker.number}, theirs.fileno())
        self._selector.register(ours, selectors.EVENT_READ, worker)
        self.workers[worker.number] = worker
        return worker

    def assign(self, worker: Worker, attempt: Attempt | None) -> None:
        """Note what a worker runs from now on."""
        with self._lock:
            worker.attempt = attempt

    def kill(self, worker: Worker, attempt: Attempt, reason: str) -> None:
        """Have a worker killed if it is still at this attempt; `events` tells of its death. Safe in any thread."""
        with self._lock:
            if worker.attempt is attempt and worker.doom is None:
                worker.doom = reason
                self._order({"kill": worker.number})

    def _order(self, message: Message, *descriptors: int) -> None:
        try:
            socket.send_fds(self._control, [encode(message)], descriptors)
        except ConnectionError:
            pass  # the template died: `events` says so

    def _running(self) -> list[Running]:
        """What the gauge is to measure."""
        return [
            (worker.process, worker.attempt)
            for worker in list(self.workers.values())
            if worker.process is not None and worker.attempt is not None
        ]

    def _measured(self, attempt: Attempt, held: int) -> None:
        """Called by the gauge, in its thread: also while the driver waits for its database."""
        attempt.held(held)
        reason = self._limits.excess(held)
        if reason is None:
            return
        for worker in list(self.workers.values()):
            self.kill(worker, attempt, reason)

    def send(self, worker: Worker, message: Message) -> None:
        """Say something to a worker; one that has just died does not hear it, and `events` tells of its death."""
        try:
            worker.reader.end.sendall(encode(message))
        except ConnectionError:
            pass

    def fileno(self) -> int:
        """What becomes readable when `events` has something to tell: for who waits for other things too."""
        return self._selector.fileno()

    def events(self, timeout: float) -> list[tuple[Worker, Message]]:
        """What the workers said within `timeout` seconds, and `{"died": how}` as a dead worker's last word.

        Raises PluginError when the objective cannot be imported, ExecutorError when the template died or is not ready
        in time; both end the run, for nothing could be run without it.
        """
        events: list[tuple[Worker, Message]] = []
        for key, _ in self._selector.select(timeout):
            worker: Worker | None = key.data
            if worker is not None and worker.number in self.workers:
                events += self._hear(worker)
            elif worker is None:
                for message in self._reader.read():
                    events += self._obey(message)
                if self._reader.ended:
                    raise self._template_died()
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise ExecutorError(
                f"worker processes were not ready after {self._timeout:g} s (executor option "
                f"'startup_timeout'){self.last_words()}"
            )
        return events

    def _obey(self, message: Message) -> list[tuple[Worker, Message]]:
        if "broken" in message:
            raise PluginError(message["broken"])
        if "ready" in message:
            self._deadline = None
            return []
        worker = self.workers[message["died"]]
        events = self._told(worker, worker.reader.drain())  # said before it died
        if worker.reader.end in self._selector.get_map():
            self._selector.unregister(worker.reader.end)
        worker.reader.end.close()
        del self.workers[worker.number]
        return [*events, (worker, {"died": message["how"]})]

    def _hear(self, worker: Worker) -> list[tuple[Worker, Message]]:
        said = worker.reader.read()
        worker.heard = time.monotonic()
        if worker.reader.ended:
            self._selector.unregister(worker.reader.end)  # the template will tell how it died
        return self._told(worker, said)

    def _told(self, worker: Worker, said: list[Message]) -> list[tuple[Worker, Message]]:
        for message in said:
            if "ready" in message:
                worker.ready = True
                worker.process = self._process(message["ready"])
        return [(worker, message) for message in said]

    def _process(self, pid: int) -> psutil.Process | None:
        """The worker of this number; None if it has ended, and the number may be another's by now."""
        try:
            process = psutil.Process(pid)
            return process if process.ppid() == self._template.pid else None
        except psutil.NoSuchProcess:
            return None

    def _template_died(self) -> ExecutorError:
        try:
            code = self._template.wait(CLOSING)
        except subprocess.TimeoutExpired:
            return ExecutorError("the process that starts workers closed its socket without ending")
        return ExecutorError(
            f"the process that starts workers died: {ended(code)}{self.last_words()}"
        )

    def last_words(self) -> str:
        """The end of what the template and the workers printed outside of trials, for a message."""
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - 2000))
        text = self._words.read().decode(errors="replace").strip()
        return f"; it printed:\n{text}" if text else ""
