"""A slot as the driver sees it: a `Seat` for the actor, and a `Remote` for the worker in it.

They come apart when a worker dies: its seat gets a new one, and what it ran is told as lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import ray

from hpo_core.workers.attempt import Attempt
from hpo_core.workers.frames import Message, Reader, encode


class Remote:
    """A worker in some slot as the driver sees it; see `hpo_core.workers.drive.Worker`.

    `order` is the message with the trial it was given, to be repeated in another slot if this one dies too early.
    """

    def __init__(self) -> None:
        self.attempt: Attempt | None = None
        self.ready = False
        self.doom: str | None = None
        self.heard = 0.0
        self.order: Message | None = None
        self.seat: Seat | None = None


class Seat:
    """A living slot: its handle, the line to it, the calls that wait there, and what is to be said with the next one.

    Without a line everything is said in calls; with one, a single call waits for the slot's death.
    """

    def __init__(self, slot: Any, node: str, line: Reader | None, worker: Remote) -> None:
        self.node = node
        self.line = line
        self.worker = worker
        self.calls: deque[Future[list[Message]]] = deque()  # all but the last come back empty
        self.deaf: float | None = None  # since when the line has been closed
        self._outbox: list[Message] = []
        self._slot = slot
        self._number = 0
        worker.seat = self
        if worker.order is not None:
            self.say(worker.order)

    def say(self, message: Message) -> None:
        """Say something now, or with the next call. A slot that has just died does not hear it."""
        if self.line is None:
            self._outbox.append(message)
            return
        try:
            self.line.end.sendall(encode(message))
        except OSError:
            pass  # its call tells of its death

    def call(self, returned: Callable[[Future[list[Message]]], None]) -> None:
        """Have a call waiting that says what is to be said; `returned` is called, in a thread, when it comes back."""
        if self._outbox or not self.calls:
            call = self._slot.exchange.remote(self._number, self._outbox).future()
            self._number += 1
            self._outbox = []
            self.calls.append(call)
            call.add_done_callback(returned)

    def kill(self) -> None:
        """End a slot that cannot be reached: it may live, and must not."""
        ray.kill(self._slot)
