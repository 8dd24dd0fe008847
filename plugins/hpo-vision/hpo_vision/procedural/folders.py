"""Folders that are there whole or not at all, made once, whoever asks for them at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any


def make_once(folder: Path, fill: Callable[[Path], None]) -> bool:
    """Make a folder by `fill`, which writes into the one it is given; False where there is one with files already.

    Called by whoever needs the folder: one process makes it, others wait for that, and where the one is killed the next
    begins anew. Until everything is written and synced the folder has another name, which begins with a dot.
    Raises OSError, at once, where no folder can be.
    """
    if _there(folder):
        return False
    with contextlib.suppress(
        FileExistsError
    ):  # a file, of which the lock says that it is no directory
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if _there(folder):
            return False
        unfinished = folder.parent / f".{folder.name}.part"
        shutil.rmtree(unfinished, ignore_errors=True)  # of one who was killed
        try:
            unfinished.mkdir()
            fill(unfinished)
            os.sync()  # once: thousands of small files would be slow to sync one by one
            os.rename(unfinished, folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return True


def _there(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the file that a folder is locked by is taken away at the end, however that comes.

    Who waited for it then looks for the next one, which somebody else may have locked by now. Not by filelock: older
    ones do not look, and it tries for ever where no file can be (in /proc, say).
    """
    lock = folder.parent / f".{folder.name}.lock"
    while True:
        with _opened(lock, folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _same(file, lock):
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _opened(lock: Path, folder: Path) -> IO[bytes]:
    try:
        return lock.open("ab")
    except OSError as error:
        error.filename = str(folder)  # nobody has heard of the other one
        raise


def _same(file: IO[Any], path: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
