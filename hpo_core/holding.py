"""One driver per study on one machine: a lock on a file in its directory, freed by the system with the process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from hpo_core.errors import StorageError, StudyHeldError

PATIENCE = 0.5
"""Seconds to try again: a child that a killed driver had just forked holds its files until it executes its program."""


@contextlib.contextmanager
def hold(directory: Path, study: str) -> Iterator[None]:
    """Hold a study for the length of the context. Raises StudyHeldError when another process does."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = open(directory / "driver.lock", "a+")  # closed below, with the lock
    except OSError as error:
        raise StorageError(f"cannot write to {directory}: {error.strerror}") from error
    with file:
        if not _lock(file):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise StudyHeldError(
                f"study '{study}' is being run by {holder}: wait for it, or stop it first"
            )
        os.truncate(file.fileno(), 0)
        with contextlib.suppress(OSError):  # a full disk: the lock is what counts
            os.write(
                file.fileno(), f"process {os.getpid()} since {time.strftime('%H:%M:%S')}".encode()
            )
        yield


def _lock(file: TextIO) -> bool:
    """Lock a file for this process, or not, because another one has."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
