"""A run as newline-delimited JSON, one event a line, for programs: `hpo run --json`."""

from __future__ import annotations

import json
import os
from typing import TextIO

from hpo_core.cli.view import View
from hpo_core.trial import Event


class NdjsonView(View):
    """Observes a run and writes its events to `stream`, each flushed so that a reader follows the run as it goes.

    A reader that goes away (`hpo run --json | head -1`) does not cost the user their study: the rest is not written,
    and `warnings` is told so once.
    """

    def __init__(self, stream: TextIO, warnings: TextIO) -> None:
        self.stream = stream
        self.warnings = warnings
        self._reader_gone = False

    def on_event(self, event: Event) -> None:
        """Called by the driver for every event, after it was stored."""
        if self._reader_gone:
            return
        try:
            line = json.dumps(event.to_json(), allow_nan=False)
            self.stream.write(line + "\n")
            self.stream.flush()
        except BrokenPipeError:
            self._reader_gone = True
            # what is still in the stream's buffer must not raise again when Python flushes it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            print("warning: nobody reads the events; the study goes on", file=self.warnings)

    def close(self) -> None:
        """Nothing is left to say: every line was flushed when it was written."""
