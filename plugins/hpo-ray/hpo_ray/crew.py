"""The driver's side of the slots: implements `hpo_core.workers.drive.Workers`, as the pool of one machine does.

The driver has a line to each slot, or else keeps a call of `Slot.exchange` waiting there: it comes back with what the
worker has said, and what the driver answers goes with the next one (`hpo_ray.slot` says why). A slot that dies costs
the attempt that it ran; Tune starts it again, and it joins as a new one. An attempt that had not begun is nobody's
loss: it is given to the next slot that joins.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import socket
import time
import uuid
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.exceptions import RayActorError

from hpo_core import ExecutorError, Outcome, PluginError
from hpo_core.workers import threads
from hpo_core.workers.attempt import Attempt
from hpo_core.workers.frames import Message
from hpo_ray.cluster import DOUBT, SILENCE, Cluster, bounded
from hpo_ray.line import connect
from hpo_ray.placing import Placing
from hpo_ray.roster import Joined, WhenOver, open_roster
from hpo_ray.seats import Remote, Seat

if TYPE_CHECKING:
    from hpo_ray.executor import RayExecutor

CLOSING = 20.0  # seconds that Tune may take to end the slots; it kills those that do not end in 15
DEAF = 5.0  # seconds that Ray may take to tell of the death of a slot whose line has been closed
_NUMBER = re.compile(r" ?\b[0-9a-f]{32,}\b")
GOODBYE = 5.0  # seconds that the roster may take to hear that all is over


class Crew:
    """The slots of a study. Used as a context manager; leaving it ends every slot."""

    def __init__(self, cluster: Cluster, options: RayExecutor, slots: int, objective: str) -> None:
        self._cluster = cluster
        self._resources = options.resources
        self._patience = options.startup_timeout
        self._seats: list[Seat] = []
        self._stranded: deque[Remote] = deque()  # their slots died before they had begun
        self._words = ""
        self._alone = time.monotonic()  # since when there has been no slot
        name = f"hpo-{uuid.uuid4().hex[:12]}"
        self._roster = open_roster(name)
        self._returned: SimpleQueue[Seat | None] = SimpleQueue()  # whose call; None: the roster's
        self._bell, self._clapper = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._joining = self._ask_roster()
        self._placing = Placing(
            {
                "roster": name,
                "objective": objective,
                "directory": str(Path.cwd()),
                "environment": _environment(options),
                "limits": asdict(options.limits),
                "startup_timeout": options.startup_timeout,
            },
            slots,
            options.resources,
            options.max_failures,
            WhenOver(name, ray.get_runtime_context().namespace),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the slots and what they run; takes a few seconds at most, but up to 25 where a node does not answer."""
        if not self._cluster.silent(DOUBT):
            bounded(self._close, GOODBYE)
            self._placing.join(CLOSING)
            if not self._placing.over:
                bounded(self._kill, GOODBYE)
        for seat in self._seats:
            self._hang_up(seat)  # a slot whose driver has hung up ends what it runs
        self._selector.close()
        self._bell.close()
        self._clapper.close()

    def _kill(self) -> None:
        for seat in self._seats:
            seat.kill()

    def _close(self) -> None:
        try:
            ray.get(self._roster.close.remote())
        except RayActorError:
            pass  # Tune takes that for the end, too

    def all(self) -> Collection[Remote]:
        """See `hpo_core.workers.drive.Workers`."""
        return [seat.worker for seat in self._seats] + list(self._stranded)

    def vacant(self) -> bool:
        """See `hpo_core.workers.drive.Workers`."""
        return self._idle() is not None

    def take(self) -> Remote:
        """A worker of a slot that runs nothing. `vacant` has said that there is one."""
        worker = self._idle()
        assert worker is not None
        return worker

    def _idle(self) -> Remote | None:
        return next((seat.worker for seat in self._seats if seat.worker.attempt is None), None)

    def assign(self, worker: Remote, attempt: Attempt | None) -> None:
        """Note what a worker runs from now on."""
        worker.attempt = attempt
        worker.doom = worker.order = None

    def send(self, worker: Remote, message: Message) -> None:
        """Goes with the next call, which `events` makes; a worker whose slot has died does not hear it."""
        if "trial" in message:
            worker.order = message
        if worker.seat is not None:
            worker.seat.say(message)

    def kill(self, worker: Remote, attempt: Attempt, reason: str) -> None:
        """Have a worker killed if it is still at this attempt; `events` tells of its death."""
        if worker.attempt is attempt and worker.doom is None:
            worker.doom = reason
            self.send(worker, {"kill": attempt.turn, "reason": reason})

    def last_words(self) -> str:
        """What the worker that died last printed outside of trials."""
        return self._words

    # ---- what is said ----

    def events(self, timeout: float) -> list[tuple[Remote, Message]]:
        """What the workers said within `timeout` seconds; see `hpo_core.workers.drive.Workers`.

        Raises PluginError when the objective cannot be imported on a node, ExecutorError when there is no slot and
        there will be none, or the cluster is gone.
        """
        for seat in self._seats:
            seat.call(partial(self._ring, seat))
        events: list[tuple[Remote, Message]] = []
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                events += self._answer()
            elif key.data in self._seats:
                events += self._read(key.data)
        self._check()
        return events

    def _ring(self, seat: Seat | None, call: Future[Any]) -> None:
        """A call has come back. Called in one of Ray's threads."""
        self._returned.put(seat)
        with contextlib.suppress(OSError):  # all is over
            self._clapper.send(b"!")

    def _answer(self) -> list[tuple[Remote, Message]]:
        """See to the calls that have come back."""
        self._bell.recv(1 << 10)
        events: list[tuple[Remote, Message]] = []
        while not self._returned.empty():
            seat = self._returned.get()
            if seat is None:
                self._welcome()
            else:
                events += self._hear(seat)
        return events

    def _ask_roster(self) -> Future[list[Joined]]:
        call: Future[list[Joined]] = self._roster.joined.remote().future()
        call.add_done_callback(partial(self._ring, None))
        return call

    def _welcome(self) -> None:
        try:
            joined = self._joining.result()
        except RayActorError as error:
            raise ExecutorError(
                f"the Ray cluster is gone: {_why(error)}; run the same command again when it is back"
            ) from error
        self._joining = self._ask_roster()
        for slot, node, address in joined:
            worker = self._stranded.popleft() if self._stranded else Remote()
            line = None if address is None or self._cluster.remote else connect(address)
            seat = Seat(slot, node, line, worker)
            self._seats.append(seat)
            if line is not None:
                self._selector.register(line.end, selectors.EVENT_READ, seat)

    def _hear(self, seat: Seat) -> list[tuple[Remote, Message]]:
        """What has come back from a slot, its death included."""
        events: list[tuple[Remote, Message]] = []
        while seat in self._seats and seat.calls and seat.calls[0].done():
            try:
                said = seat.calls.popleft().result()
            except RayActorError as error:
                seat.kill()
                if seat.line is not None and seat.deaf is None:  # said before it died
                    events += self._take(seat, seat.line.drain())
                return events + self._leave(seat, _why(error))
            events += self._take(seat, said)
        return events

    def _read(self, seat: Seat) -> list[tuple[Remote, Message]]:
        """What has come over a line. When it is closed, Ray soon tells why."""
        if seat.line is None or seat.deaf is not None:
            return []
        events = self._take(seat, seat.line.read(socket.MSG_DONTWAIT))
        if seat.line.ended:
            seat.deaf = time.monotonic()
            self._hang_up(seat)
        return events

    def _hang_up(self, seat: Seat) -> None:
        if seat.line is not None and seat.line.end.fileno() >= 0:
            self._selector.unregister(seat.line.end)
            seat.line.end.close()

    def _take(self, seat: Seat, said: list[Message]) -> list[tuple[Remote, Message]]:
        if said:
            seat.worker.heard = time.monotonic()
        return [event for message in said for event in self._told(seat, message)]

    def _told(self, seat: Seat, message: Message) -> list[tuple[Remote, Message]]:
        worker = seat.worker
        if "broken" in message:
            raise PluginError(f"on node {seat.node}: {message['broken']}")
        if "unfit" in message:
            raise ExecutorError(f"on node {seat.node}: {message['unfit']}")
        if "failed" in message:
            return self._leave(seat, message["failed"])
        if "died" in message:
            return self._bury(seat, message)
        if "ready" in message:
            worker.ready = True
        return [(worker, message)]

    def _bury(self, seat: Seat, message: Message) -> list[tuple[Remote, Message]]:
        """A worker has died in a slot that lives, and replaces it."""
        worker, attempt = seat.worker, seat.worker.attempt
        self._words = message["words"]
        if attempt is None or message["turn"] != attempt.turn:
            worker.ready = (
                False  # it ran nothing: what it may have been given since waits for the next
            )
            return []
        worker.doom = message["doom"] or worker.doom
        attempt.measured(Outcome.from_json(message["outcome"]))
        seat.worker = Remote()
        seat.worker.seat, worker.seat = seat, None
        return [(worker, {"died": message["died"]})]

    def _leave(self, seat: Seat, why: str) -> list[tuple[Remote, Message]]:
        """A slot is gone."""
        if seat not in self._seats:
            return []
        if self._cluster.silent(DOUBT):  # slots follow their head: no attempt is to blame
            raise _headless(DOUBT)
        self._seats.remove(seat)
        self._hang_up(seat)
        self._alone = time.monotonic()
        worker = seat.worker
        worker.seat = None
        if worker.attempt is None:
            return []
        if not worker.ready:
            self._stranded.append(worker)
            return []
        worker.doom = f"its slot on node {seat.node} was lost: {why}"
        return [(worker, {"died": "with its slot"})]

    def _check(self) -> None:
        """Raise when no trial could run any more."""
        if self._cluster.silent(SILENCE):
            raise _headless(SILENCE)
        for seat in self._seats:
            if seat.deaf is not None and time.monotonic() - seat.deaf > DEAF:
                seat.kill()
        if self._seats:
            return
        if self._placing.over:
            raise ExecutorError(
                "Ray Tune has given up on the slots (executor option 'max_failures'), the last one: "
                f"{self._placing.last_words}"
            )
        if time.monotonic() - self._alone > self._patience:
            asked = ", ".join(f"{name}: {number:g}" for name, number in self._resources.items())
            raise ExecutorError(
                f"no slot could be started for {self._patience:g} s (executor option 'startup_timeout'): each takes "
                f"{{{asked}}} (executor option 'resources'), and the cluster has {self._cluster.offers()}, some of it "
                "perhaps in use"
            )


def _headless(seconds: float) -> ExecutorError:
    return ExecutorError(
        f"the head of the Ray cluster has not answered for {seconds:g} s: run the same command again when the cluster "
        "is back, or on another one"
    )


def _environment(options: RayExecutor) -> dict[str, str]:
    """What the slots' templates get of the driver's environment, and what their resources mean to libraries."""
    environment = threads.environment(options.threads)
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    if not options.resources.get("gpu"):
        environment["CUDA_VISIBLE_DEVICES"] = ""  # Ray hides no device from who has asked for none
    return environment


def _why(error: RayActorError) -> str:
    """Ray's own reason, without its paragraphs of advice and its numbers of actors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "because" in line or "unavailable" in line]
    return _NUMBER.sub("", (telling or lines or [type(error).__name__])[0])[:300]
