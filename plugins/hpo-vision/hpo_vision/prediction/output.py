"""Where rows go: stdout, or a file that gets its name when the last row is in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TextIO

from hpo_core.commands import UsageError


class Output(AbstractContextManager["Output"]):
    """Takes text. A file that was not finished is taken away; what was finished early is called FILE.partial.

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
            self._unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            with self._explained():
                self._file = self._unfinished.open("x", encoding="utf-8", newline="")
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
            self._file.close()
            self._unfinished.replace(name)
        self._unfinished = None
        return name

    def __exit__(self, *_: Any) -> None:
        if self._unfinished is not None and self._file is not sys.stdout:
            self._file.close()
            self._unfinished.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # who reads stdout has enough
            raise
        except OSError as error:
            where = self._path or "stdout"
            raise UsageError(f"cannot write {where}: {error.strerror or error}") from error
