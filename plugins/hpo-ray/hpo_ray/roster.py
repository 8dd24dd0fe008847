"""The roster: a tiny actor beside the driver where slots announce themselves, and that says when all is over.

Tune alone starts slots, here or on another node, now or after a failure, and tells nobody their handles. Its callbacks
would, but not across `ray://`, where the Tuner runs on the cluster. The roster works in both cases.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import ray
from ray.actor import ActorHandle
from ray.tune import Stopper
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hpo_ray.line import Address

Joined = tuple[Any, str, Address | None]
"""A slot's handle, its node's address, and where it can be connected to."""


class Roster:
    """Runs as an asynchronous actor; it dies with the driver, like everything that is not detached."""

    def __init__(self) -> None:
        self._joined: list[Joined] = []
        self._news = asyncio.Event()
        self._over = False

    async def join(self, slot: ActorHandle[Any], node: str, line: Address | None) -> None:
        """Called by a slot when it begins."""
        self._joined.append((slot, node, line))
        self._news.set()

    async def joined(self) -> list[Joined]:
        """Called by the driver, again and again: waits for slots that have joined since the last call."""
        await self._news.wait()
        self._news.clear()
        joined, self._joined = self._joined, []
        return joined

    async def close(self) -> None:
        """Called by the driver: no slot is needed any more."""
        self._over = True

    async def over(self) -> bool:
        """Called by Tune, ten times a second."""
        return self._over


def open_roster(name: str) -> ActorHandle[Any]:
    """Start the roster on the driver's node, so that what slots say to it takes one hop."""
    here = ray.get_runtime_context().get_node_id()
    options: dict[str, Any] = {
        "name": name,
        "num_cpus": 0,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False),
    }
    actor: ActorHandle[Any] = cast(Any, ray.remote(Roster)).options(**options).remote()
    return actor


class WhenOver(Stopper):
    """Tells Tune to end all slots, those that wait for room too, when the roster says so or is gone."""

    def __init__(self, name: str, namespace: str) -> None:
        self._where = name, namespace
        self._roster: Any = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def __getstate__(self) -> dict[str, Any]:
        return {"_where": self._where, "_roster": None}

    def stop_all(self) -> bool:
        """See `ray.tune.Stopper`."""
        try:
            if self._roster is None:
                self._roster = ray.get_actor(*self._where)
            return bool(ray.get(self._roster.over.remote()))
        except (ray.exceptions.RayActorError, ValueError):
            return True
