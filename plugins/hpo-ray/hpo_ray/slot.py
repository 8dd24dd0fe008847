"""A slot: room for one trial at a time somewhere in the cluster, held for as long as the study runs.

To Tune a slot is a trial that never reports. Tune finds the resources, starts the actor, and starts it again, on
whatever node, when it or its node has died; that costs seconds (4 s here, 50 ms with `reuse_actors`), so it is paid
once and not for every trial of the study. Inside sits the pool that `processes` uses, with one worker: the objective's
imports are paid once a slot, and a worker is forked, measured, killed and replaced in milliseconds.

The actor is asynchronous (its methods are), so the driver talks to it directly while Tune's call of `train` waits. It
has one loop and no threads of its own: the pool's sockets are watched by the loop. There are two ways to talk. A *line*
is a TCP connection from the driver (`hpo_ray.line`): a report and its decision take 0.2 ms of processor time there. A
call of `exchange` goes through Ray, which takes 1.6 ms for that, more than all the rest of what a report costs; it is
the way where the driver cannot connect (`ray://`), or where Ray's own traffic is encrypted (`RAY_USE_TLS`). In either
case such a call waits at every slot, for its failure is how Ray tells of the slot's death.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import ray
from ray.tune import Trainable

from hpo_core import Ending, ExecutorError, Outcome, PluginError, Trial
from hpo_core.workers.attempt import Attempt, Limits
from hpo_core.workers.frames import Message
from hpo_core.workers.pool import Pool, Worker
from hpo_ray.line import Line, offer

LOOK = 0.5  # seconds between two looks at whether the template takes too long
SCORE = Path("/proc/self/oom_score_adj")


class Slot(Trainable):
    """Runs as an actor. `config` is made by `hpo_ray.crew.Crew`, of JSON types."""

    def setup(self, config: dict[str, Any]) -> None:
        """Called by Tune in the actor's first moment, before there is a loop."""
        self._config = config
        self._pool: Pool | None = None
        self._line: Line | None = None
        self._failure: asyncio.Future[dict[str, Any]] | None = None
        self._early: dict[int, list[Message]] = {}  # what overtook what the driver said before
        self._expected = 0
        self._latest = -1
        self._said: list[Message] = []  # to the driver, not fetched yet
        self._caller: asyncio.Future[None] | None = None
        self._waiting: Message | None = None  # a trial, until there is a worker for it
        self._worker: Worker | None = None

    # ---- what Tune calls ----

    async def train(self) -> dict[str, Any]:
        """Called by Tune once; ends only when the slot has failed, by raising what Tune is to count as a failure."""
        self._failure = asyncio.get_running_loop().create_future()
        roster = ray.get_actor(self._config["roster"])
        me = ray.get_runtime_context().current_actor
        node: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        self._line = await offer(node, self._obey, self._abandoned)
        await roster.join.remote(me, node, self._line.address if self._line else None)
        try:
            self._begin()
        except ExecutorError as error:
            self._say({"unfit": str(error)})
        return await self._failure

    async def stop(self) -> None:
        """Called by Tune when the study is over: everything that the slot has started ends."""
        self._close()
        if self._line is not None:
            self._line.close()

    def _close(self) -> None:
        """End the worker and the template."""
        if self._pool is not None:
            self._pool_is_over()
            pool, self._pool = self._pool, None
            pool.__exit__()

    def _abandoned(self) -> None:
        """The driver is gone, or took this slot for dead: nothing may run on, even if Ray does not notice for long."""
        self._close()
        self._fail("the driver hung up")

    def _fail(self, why: str) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(RuntimeError(why))

    def _begin(self) -> None:
        """Start the template, in the driver's working directory: what trials are told is relative to that."""
        _stay_behind_the_worker()
        folder = self._config["directory"]
        try:
            os.chdir(folder)
        except OSError as error:
            raise ExecutorError(
                f"there is no folder {folder} ({error.strerror}), where the driver runs: share it with all nodes, or "
                "run from a folder that every node has and keep checkpoints in a store (`checkpoints:` with a URL)"
            ) from error
        self._pool = Pool(
            self._config["objective"],
            1,
            self._environment(),
            self._config["startup_timeout"],
            Limits(**self._config["limits"]),
        )
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pool.fileno(), self._listen)
        self._look()
        self._hand_out()  # the driver may have been quicker than the answer of the roster

    def _environment(self) -> dict[str, str]:
        """What the template gets besides the actor's environment, in which Ray has named the devices of this slot."""
        environment = dict(self._config["environment"])
        paths = [environment.pop("PYTHONPATH", ""), os.environ.get("PYTHONPATH", "")]
        return environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def _look(self) -> None:
        """Events also tell that the template takes too long, which nobody says."""
        if self._pool is not None:
            self._listen()
            asyncio.get_running_loop().call_later(LOOK, self._look)

    # ---- what the driver calls ----

    async def exchange(self, number: int, messages: list[Message]) -> list[Message]:
        """Take what the driver says, and wait for something to answer.

        Calls are numbered from 0, for Ray may deliver them in any order. A call ends the one before, if that still
        waits: only the latest is answered.
        """
        self._early[number] = messages
        while self._expected in self._early:
            for message in self._early.pop(self._expected):
                self._obey(message)
            self._expected += 1
        self._latest = max(self._latest, number)
        self._answer()
        if number == self._latest and not self._said:
            self._caller = asyncio.get_running_loop().create_future()
            await self._caller
        if number < self._latest:
            return []
        said, self._said = self._said, []
        return said

    def _say(self, message: Message) -> None:
        if self._line is None or not self._line.say(message):
            self._said.append(message)
            self._answer()

    def _answer(self) -> None:
        if self._caller is not None and not self._caller.done():
            self._caller.set_result(None)

    def _obey(self, message: Message) -> None:
        if "trial" in message:
            self._waiting = message
            self._hand_out()
        elif self._pool is None or self._worker is None:
            return  # it has died meanwhile, and the driver is being told
        elif "kill" in message:
            attempt = self._worker.attempt
            if attempt is not None and attempt.turn == message["kill"]:
                self._pool.kill(self._worker, attempt, message["reason"])
        else:
            self._pool.send(self._worker, message)

    # ---- the worker ----

    def _hand_out(self) -> None:
        if self._waiting is None or self._pool is None or not self._pool.vacant():
            return
        message, self._waiting = self._waiting, None
        self._worker = self._pool.take()
        attempt = Attempt(Trial.from_json(message["trial"]), turn=message["turn"])
        self._pool.assign(self._worker, attempt)
        self._pool.send(self._worker, message)

    def _listen(self) -> None:
        """What the worker has said goes to the driver. Called by the loop when there is something."""
        if self._pool is None:
            return
        try:
            events = self._pool.events(0)
        except PluginError as error:
            self._say({"broken": str(error)})
            self._pool_is_over()
        except ExecutorError as error:
            self._say({"failed": str(error)})
            self._pool_is_over()
            self._fail(str(error))
        else:
            for worker, message in events:
                self._pass_on(worker, message)

    def _pool_is_over(self) -> None:
        """It raised: nothing will be heard of it any more. `stop` closes it."""
        if self._pool is not None:
            asyncio.get_running_loop().remove_reader(self._pool.fileno())

    def _pass_on(self, worker: Worker, message: Message) -> None:
        assert self._pool is not None
        attempt = worker.attempt
        if "died" in message:
            self._say(self._obituary(worker, message["died"], self._pool.last_words()))
            self._worker = None
            self._hand_out()
        elif "ready" in message:
            self._say(message)
        elif attempt is None or message["turn"] != attempt.turn:
            return  # from a thread that an objective left behind
        elif "outcome" in message:
            if message.pop("spent", False):
                self._pool.kill(worker, attempt, "no attempt can run in its process any more")
            self._pool.assign(worker, None)
            outcome = attempt.measured(Outcome.from_json(message["outcome"]))
            self._say(message | {"outcome": outcome.to_json()})
        else:
            self._say(message)

    def _obituary(self, worker: Worker, how: str, words: str) -> Message:
        """`turn` is None where it ran nothing; `outcome` has what was measured of the attempt that is lost."""
        message: Message = {"died": how, "doom": worker.doom, "words": words, "turn": None}
        if worker.attempt is not None:
            outcome = worker.attempt.measured(Outcome(Ending.LOST))
            message |= {"turn": worker.attempt.turn, "outcome": outcome.to_json()}
        return message


def _stay_behind_the_worker() -> None:
    """Ray makes its processes the first that the kernel kills for memory; the worker, which holds it, should be.

    Without the right to do so (another user's raylet) it stays as it is: the whole slot is then lost, and restarted.
    """
    with contextlib.suppress(OSError):
        SCORE.write_text("0")
