"""Finding the processes that a test has started, wherever they have moved to.

A process keeps the environment it was born with, and so do its children, in whatever session or process group they
hide and whoever has adopted them: so a mark in the environment finds them all.
"""

from __future__ import annotations

import time
import uuid

import psutil
import pytest

MARK = "HPO_TEST_MARK"


def mark_environment(monkeypatch: pytest.MonkeyPatch) -> str:
    """Mark what this test starts from now on; the mark is for `marked` and `wait_until_gone`."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    return mark


def marked(mark: str) -> list[psutil.Process]:
    """The living processes that carry the mark; zombies do not count as living."""
    return [process for process in psutil.process_iter() if _carries(process, mark)]


def wait_until_gone(mark: str, seconds: float = 60.0) -> list[psutil.Process]:
    """Wait until no process carries the mark; those that still do after `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
