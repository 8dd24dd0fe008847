"""What shows a run to whoever started it, and which of the three ways fits where the output goes.

Progress goes to stderr, so that stdout carries data only: nothing, or the events of `--json`.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self, TextIO

from hpo_core.trial import Event


class View(ABC):
    """Observes a run. The driver calls `on_event` for every event, after it was stored, and `close` once at the end."""

    @abstractmethod
    def on_event(self, event: Event) -> None:
        """Take in one event; must not wait long, for the driver waits for it."""

    @abstractmethod
    def close(self) -> None:
        """Say how the run ended and give the terminal back. Also called when the run failed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def choose(*, json: bool, command: str) -> View:
    """The view for this process: events for `--json`, bars on a terminal, lines elsewhere.

    `command` is the command line that continues the study. FORCE_COLOR does not bring bars into a pipe: it asks for
    colours, and what a log file cannot bear is the moving cursor.
    """
    if json:
        from hpo_core.cli.ndjson import NdjsonView

        return NdjsonView(sys.stdout, sys.stderr)
    if moves_cursor(sys.stderr):
        from rich.console import Console

        from hpo_core.cli.live import LiveView

        return LiveView(Console(stderr=True, highlight=False), command)
    from hpo_core.cli.lines import LinesView

    return LinesView(sys.stderr, command)


def moves_cursor(stream: TextIO) -> bool:
    """Whether a live view can be drawn on a stream: a terminal that is not a dumb one."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
