"""Ending everything that a process has started, wherever it has hidden.

Process groups are not enough: whoever calls `setsid` (a daemon, a server, some data loaders) leaves its group. The
kernel keeps one thing that a process cannot leave: when its parent dies, it becomes the child of its nearest ancestor
that is a *subreaper*. Each worker is one, so all that its trials started stays below it while it lives; the template is
one, so all of that becomes the template's children when the worker dies. Where there are no subreapers (not on Linux),
the process group is all that is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Container
from typing import NoReturn

import psutil

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
PATIENCE = (
    3.0  # seconds for what has been killed to be gone; only the kernel can make it take so long
)


def adopt_orphans() -> None:
    """Make this process the parent of its descendants whose parents die. Called in the template and each worker."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_children(spared: Container[int] = ()) -> None:
    """Kill and reap this process's children but the `spared`; theirs become its children, and are killed in turn.

    Called by the template when a worker has died, and at the end. Only a process that has no threads may call it.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        doomed = [child.pid for child in psutil.Process().children() if child.pid not in spared]
        if not doomed:
            return
        for pid in doomed:  # not reaped yet, so its number is still its own
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.002)


def kill_tree(root: psutil.Process) -> None:
    """Kill a process and its descendants. Called by the driver when no template is left to do it."""
    try:
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in family:
        _kill(process)


def end_with_descendants() -> NoReturn:
    """End this process, the leader of its group, after its descendants. Called by a worker whose driver is gone."""
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and (living := _living_descendants()):
            for process in living:
                _kill(process)
            time.sleep(0.002)
    finally:
        os.killpg(os.getpid(), signal.SIGKILL)
    raise AssertionError("a process survived SIGKILL")


def _living_descendants() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if _lives(child)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass  # it has ended
