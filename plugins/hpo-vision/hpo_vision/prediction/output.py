"""Where rows go: stdout, or a file that gets its name when the last row is in it."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TextIO

from hpo_core.commands import UsageError


class Output(AbstractContextManager["Output"]):
    """Takes text. A file that was not finished is taken away; what was finished early is called FILE.partial.

    Until then it is called .FILE.part, and locked: what a killed process has left there is written anew.
    Raises UsageError, at once or later, when the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = None if path is None else Path(os.path.realpath(path))  # a link stays one
        self._unfinished: Path | None = None
        self._file: TextIO = sys.stdout

    def __enter__(self) -> Output:
        if self._path is not None:
            if self._path.exists() and not self._path.is_file():
                raise UsageError(f"cannot write {self._path}: it is there and is no file")
            part = self._path.with_name(f".{self._path.name}.part")
            with self._explained():
                self._file = _locked(part, self._path)
            self._unfinished = part
        return self

    def write(self, text: str) -> None:
        """Take whole lines; they are passed on at once."""
        with self._explained():
            self._file.write(text)
            self._file.flush()

    def finish(self, *, early: bool = False) -> Path | None:
        """Give the file its name, which is returned; `early`: FILE.partial. Nothing for stdout."""
        if self._path is None or self._unfinished is None:
            return None
        name = self._path.with_name(f"{self._path.name}.partial") if early else self._path
        with self._explained():
            os.fsync(self._file.fileno())
            self._unfinished.replace(name)
            self._unfinished = None
            self._file.close()  # with its lock, which nobody needs who looks for .FILE.part
        return name

    def __exit__(self, *_: Any) -> None:
        if self._unfinished is not None:
            self._unfinished.unlink(missing_ok=True)
            self._file.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # who reads stdout has enough
            raise
        except OSError as error:
            where = self._path or "stdout"
            raise UsageError(f"cannot write {where}: {error.strerror or error}") from error


def _locked(part: Path, path: Path) -> TextIO:
    """The unfinished file, empty, for this process alone. Raises UsageError where another one writes it."""
    while True:
        file = part.open("a", encoding="utf-8", newline="")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise UsageError(f"cannot write {path}: another process is writing it") from error
        try:
            same = os.path.samestat(os.fstat(file.fileno()), part.stat())
        except FileNotFoundError:
            same = False
        if same:
            file.truncate(0)
            return file
        file.close()  # it got its name between opening and locking
