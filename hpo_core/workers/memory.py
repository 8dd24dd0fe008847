"""How much memory the attempts hold, and what they do on GPUs: measured from outside, by threads of the driver.

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
from hpo_core.workers.gpu import Gpus, used

TICK = 0.25  # seconds between two looks
SHARE = (
    20  # the pause after a look is at least so many times what the look took of a core: 5 % at most
)
PATIENCE = 2.0  # seconds that the driver of the GPUs has to answer, at the end

Running = tuple[psutil.Process, Attempt]


class Gauge:
    """The threads. `running` tells what to measure; `measured` is called, in a thread, with each figure of memory.

    What is seen on `gpus` is said to the attempt alone, for no limit depends on it. It has a thread of its own: a
    driver whose GPU has failed may not answer for minutes, and the limit of memory must not wait for it.
    """

    def __init__(
        self,
        running: Callable[[], Iterable[Running]],
        measured: Callable[[Attempt, int], None],
        gpus: Gpus | None = None,
    ) -> None:
        self._gpus = gpus
        self._running = running
        self._measured = measured
        self._trees: list[tuple[Attempt, list[int]]] = []  # as they were last seen: their processes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hpo-memory", daemon=True)
        self._gpu_thread = threading.Thread(target=self._watch_gpus, name="hpo-gpu", daemon=True)
        self._thread.start()
        self._gpu_thread.start()

    def close(self) -> None:
        """End the threads, after the looks that they may be taking; a GPU that does not answer is left alone."""
        self._over.set()
        self._thread.join()
        self._gpu_thread.join(PATIENCE)

    def _watch(self) -> None:
        pause = TICK
        while not self._over.wait(pause):
            begin = time.thread_time()  # not the clock: on a busy machine it would look less often
            self._look()
            pause = max(TICK, SHARE * (time.thread_time() - begin))

    def _watch_gpus(self) -> None:
        gpus = self._gpus or Gpus()
        pause = TICK
        while gpus.found and not self._over.wait(pause):
            begin = time.thread_time()
            shown = gpus.look() if self._trees else []
            for attempt, pids in self._trees:
                attempt.seen(used(shown, pids))
            pause = max(TICK, SHARE * (time.thread_time() - begin))
        gpus.close()

    def _look(self) -> None:
        running = list(self._running())
        children = _children() if running else {}
        trees = [(attempt, _tree(root, children)) for root, attempt in running]
        self._trees = [(attempt, [each.pid for each in tree]) for attempt, tree in trees]
        for attempt, tree in trees:
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
