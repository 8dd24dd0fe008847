"""How far it is, on stderr: a bar on a terminal, now and then a line in a pipe, or a line of JSON for scripts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TextIO

from hpo_vision.prediction.tally import Tally
from hpo_vision.wording import counted

LINE_SECONDS = 30.0
EVENT_SECONDS = 1.0


class Progress(AbstractContextManager["Progress"], Protocol):
    """Is told of every batch. `say` prints a line for people, which a bar must not overwrite."""

    def show(self, tally: Tally) -> None: ...

    def say(self, line: str) -> None: ...


class Bar(Progress):
    """A bar that goes away at the end. `total` is the number of files."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
        )
        self._bars = Bars(
            *columns, console=Console(stderr=True), transient=True, redirect_stdout=False
        )
        self._task = self._bars.add_task("images", total=total)

    def __enter__(self) -> Bar:
        self._bars.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bars.stop()

    def show(self, tally: Tally) -> None:
        text = f"images, {tally.failed:,} not read" if tally.failed else "images"
        self._bars.update(self._task, completed=tally.predicted + tally.failed, description=text)

    def say(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)


class Lines(Progress):
    """A line every `seconds`, made by `line` of what has been counted."""

    def __init__(
        self,
        line: Callable[[Tally], str],
        seconds: float = LINE_SECONDS,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line = line
        self._seconds = seconds
        self._stream = stream
        self._clock = clock
        self._last = clock()

    def __exit__(self, *_: Any) -> None:
        return None

    def show(self, tally: Tally) -> None:
        now = self._clock()
        if now - self._last >= self._seconds:
            self._last = now
            print(self._line(tally), file=self._stream or sys.stderr, flush=True)

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def text(tally: Tally) -> str:
    """How far it is, for people."""
    return f"{counted(tally.predicted + tally.failed, 'image')}, {tally.failed:,} of them could not be read"


def event(tally: Tally) -> str:
    """The same for scripts."""
    return json.dumps({"event": "progress", **tally.document()})
