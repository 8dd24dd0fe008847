"""Who drives a study, so that others can be told, and can tell whether it is still there.

A process id means something only on its own machine, between two boots, within its namespace of processes (two
containers may both have a process 12), and until the system gives it to another process: hence all four.
"""

from __future__ import annotations

import functools
import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Holder:
    """A process on a machine. `machine` is empty where processes of others cannot be looked up."""

    machine: str
    host: str
    pid: int
    started: int  # by the system's clock ticks since its boot

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        return cls(_machine(), socket.gethostname(), os.getpid(), _started(os.getpid()) or 0)

    @property
    def gone(self) -> bool:
        """Whether the process is known not to run any more: it was on this machine and has ended."""
        return self.here_too and not self._runs()

    @property
    def here_too(self) -> bool:
        """Whether it runs on this machine, where it can be signalled."""
        return self.machine != "" and self.machine == _machine()

    def _runs(self) -> bool:
        return _started(self.pid) == self.started


@functools.cache
def _machine() -> str:
    """The name of this boot of this machine and of the namespace that its process ids are of; Linux alone has both."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text()
        space = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot}{space}".encode()).hexdigest()[:16]


def _started(pid: int) -> int | None:
    """When a process started; None when there is none, or only what its parent has not yet taken note of."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return None if state in "ZX" else int(fields[18])
