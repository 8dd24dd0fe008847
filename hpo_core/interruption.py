"""Ctrl-C and SIGTERM: the first asks the study to stop after the running epochs, the second stops it now."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

GRACE_SECONDS = 30.0
"""After SIGTERM, which comes from a machine that will not wait for ever, running epochs get this long."""


class Signals:
    """A context in which SIGINT and SIGTERM are ours. Implements `hpo_core.contracts.Interrupt`.

    `on_first` is called in the main thread, between two steps of whatever runs, with the signal's name. Entered in
    another thread, which Python sends no signals to, it leaves them to whoever runs the program.
    """

    def __init__(self, on_first: Callable[[str], None]) -> None:
        self._on_first = on_first
        self._deadline: float | None = None
        self._previous: dict[int, Any] = {}
        self.received: signal.Signals | None = None
        self.second = False

    @property
    def now(self) -> bool:
        """Whether to stop at once."""
        late = self._deadline is not None and time.monotonic() > self._deadline
        return self.second or late

    def __enter__(self) -> Self:
        here = threading.current_thread() is threading.main_thread()
        for number in (signal.SIGINT, signal.SIGTERM) if here else ():
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            if not self.second:
                self.second = True
                raise KeyboardInterrupt
            return
        self.received = signal.Signals(number)
        if number == signal.SIGTERM:
            self._deadline = time.monotonic() + GRACE_SECONDS
        self._on_first(self.received.name)
