"""The files of a folder on a disk.

A file's stamp is its times of modification and of change. The latter is the system's own, which no program sets: it
also tells of a change after which somebody put the time of modification back. A file that was changed so lately that
the next change could get the same times is waited for.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from hpo_core.datasets.entries import Found
from hpo_core.datasets.paths import IGNORED, fault
from hpo_core.datasets.sources import changed, refused

BLOCK = 1 << 20
FRESH = 50_000_000
"""Nanoseconds after which a change of a file surely gets another time: five ticks of the slowest clock of a kernel."""


class LocalFiles:
    """Implements `hpo_core.datasets.sources.Source`.

    Links to files and folders within the folder are followed; one that leads out of it, or back up, is an error.
    """

    threads = 1

    def __init__(self, folder: Path, shown: str) -> None:
        self.shown = shown
        self._top = os.path.realpath(folder)
        self.key = hashlib.sha256(os.fsencode(self._top)).hexdigest()

    def listed(self) -> Iterator[Found]:
        """See Source."""
        above = [_identity(os.stat(self._top))]
        stack = [self._folder("")]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                above.pop()
                continue
            path, about = entry
            if not stat.S_ISDIR(about.st_mode):
                yield _found(path, about)
                continue
            if _identity(about) in above:
                raise refused(self.shown, path, "it is a link that leads back up")
            above.append(_identity(about))
            stack.append(self._folder(f"{path}/"))

    def chunks(self, found: Found) -> Iterator[bytes]:
        """See Source."""
        try:
            with open(os.path.join(self._top, found.path), "rb", buffering=0) as file:
                self._compare(found, os.fstat(file.fileno()))
                while chunk := file.read(BLOCK):
                    yield chunk
                self._compare(found, os.fstat(file.fileno()))
        except OSError as error:
            raise refused(self.shown, found.path, error.strerror or str(error)) from error

    def _compare(self, found: Found, now: os.stat_result) -> None:
        same_times = found.stamp is None or found.stamp == _stamp(now)
        if not same_times or found.size != now.st_size or not stat.S_ISREG(now.st_mode):
            raise changed(self.shown, found.path)

    def _folder(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """What is in a folder, in the order of the paths of the files in it and below."""
        try:
            with os.scandir(os.path.join(self._top, prefix)) as entries:
                inside = [(entry, entry.is_dir()) for entry in entries if entry.name not in IGNORED]
        except OSError as error:
            raise refused(self.shown, prefix, error.strerror or str(error)) from error
        for entry, _ in sorted(inside, key=lambda each: each[0].name + "/" * each[1]):
            path = prefix + entry.name
            said = fault(entry.name)
            if said is not None:
                raise refused(self.shown, path, said)
            yield path, self._about(entry, path)

    def _about(self, entry: os.DirEntry[str], path: str) -> os.stat_result:
        try:
            if entry.is_symlink():
                self._inside(entry, path)
            about = entry.stat()
        except FileNotFoundError as error:
            why = "it is a link that leads nowhere" if entry.is_symlink() else "it was deleted"
            raise refused(self.shown, path, why) from error
        except OSError as error:
            raise refused(self.shown, path, error.strerror or str(error)) from error
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            raise refused(self.shown, path, "it is neither a file nor a folder")
        return about

    def _inside(self, entry: os.DirEntry[str], path: str) -> None:
        target = os.path.realpath(entry.path)
        if os.path.commonpath((self._top, target)) != self._top:
            raise refused(self.shown, path, "it is a link that leads out of the folder")


def _found(path: str, about: os.stat_result) -> Found:
    """A file, when its times are those of no later change."""
    age = time.time_ns() - about.st_ctime_ns
    if age < -FRESH:  # the clock of the server that holds the file is ahead
        return Found(path, about.st_size, None)
    if age < FRESH:
        time.sleep((FRESH - age) / 1e9)
    return Found(path, about.st_size, _stamp(about))


def _stamp(about: os.stat_result) -> str:
    return f"{about.st_mtime_ns}-{about.st_ctime_ns}"


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino
