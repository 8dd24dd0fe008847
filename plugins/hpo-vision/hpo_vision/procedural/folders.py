"""Folders that are there whole or not at all, made once, whoever asks for them at the same time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def make_once(folder: Path, fill: Callable[[Path], None]) -> bool:
    """Make a folder by `fill`, which writes into the one it is given; False where there is one with files already.

    Called by whoever needs the folder: one process makes it, others wait for that, and where the one is killed the next
    begins anew. Until everything is written and synced the folder has another name, which begins with a dot.
    """
    if _there(folder):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.parent / f".{folder.name}.lock"
    with FileLock(lock):
        if _there(folder):
            return False
        unfinished = folder.parent / f".{folder.name}.part"
        shutil.rmtree(unfinished, ignore_errors=True)  # of one who was killed
        try:
            unfinished.mkdir()
            fill(unfinished)
            os.sync()  # once: thousands of small files would be slow to sync one by one
            os.rename(unfinished, folder)
            lock.unlink(missing_ok=True)  # whoever waits for it, or makes it anew, finds the folder
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return True


def _there(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
