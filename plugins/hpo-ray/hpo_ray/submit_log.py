"""A job's log on this terminal. Ray keeps one log of a job's stdout and stderr, so here they are parted again."""

from __future__ import annotations

import json
from typing import TextIO


class Lines:
    """Takes a log in pieces that end anywhere. Events of `hpo run --json` go to `out`, everything else to `err`."""

    def __init__(self, out: TextIO, err: TextIO, *, events: bool) -> None:
        self._out, self._err, self._events = out, err, events
        self._rest = ""

    def write(self, text: str) -> None:
        """Called with the next piece of the log."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._print(line)

    def close(self) -> None:
        """Called once, at the end: a last line without its end is a line as well."""
        if self._rest:
            self._print(self._rest)
        self._rest = ""

    def _print(self, line: str) -> None:
        print(line, file=self._out if self._events and _is_event(line) else self._err, flush=True)


def _is_event(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and "event" in found and "seq" in found
