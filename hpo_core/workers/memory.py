"""How much memory the attempts hold: measured from outside, by a thread of the driver.

The measure is the proportional set size (PSS): a page that several processes share counts in parts. Resident sizes
would count the libraries that workers share with the template, and a data set that data loaders share with their
worker, once for each process.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import psutil

from hpo_core.workers.attempt import Attempt

TICK = 0.25  # seconds between two looks
SHARE = (
    20  # the pause after a look is at least so many times what the look took of a core: 5 % at most
)

Running = tuple[psutil.Process, Attempt]


class Gauge:
    """The thread. `running` tells what to measure; `measured` is called, in the thread, with each figure."""

    def __init__(
        self,
        running: Callable[[], Iterable[Running]],
        measured: Callable[[Attempt, int], None],
    ) -> None:
        self._running = running
        self._measured = measured
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hpo-memory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after the look that it may be taking."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = TICK
        while not self._over.wait(pause):
            begin = time.thread_time()  # not the clock: on a busy machine it would look less often
            self._look()
            pause = max(TICK, SHARE * (time.thread_time() - begin))

    def _look(self) -> None:
        running = list(self._running())
        children = _children() if running else {}
        for root, attempt in running:
            tree = _tree(root, children)
            if sum(map(resident, tree)) > (
                attempt.peak or 0
            ):  # an upper bound, at a tenth of the price
                self._measured(attempt, sum(map(proportional, tree)))


def proportional(process: psutil.Process) -> int:
    """The bytes that a process holds, shared ones in parts (unshared ones only, where the system tells no more)."""
    figures = _figures(process.memory_full_info)
    return int(getattr(figures, "pss", getattr(figures, "uss", 0)))


def resident(process: psutil.Process) -> int:
    """The bytes that a process has in memory, shared ones too."""
    return int(getattr(_figures(process.memory_info), "rss", 0))


def _figures(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None  # it has ended meanwhile


def _children() -> dict[int, list[psutil.Process]]:
    """All processes by the number of their parent: one walk for all attempts."""
    children: dict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter():
        try:
            children[process.ppid()].append(process)
        except psutil.NoSuchProcess:
            pass  # it has ended meanwhile
    return children


def _tree(root: psutil.Process, children: dict[int, list[psutil.Process]]) -> list[psutil.Process]:
    tree = [root]
    for process in tree:  # grows while it is walked
        tree += children.get(process.pid, ())
    return tree
