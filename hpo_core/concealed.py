"""A stream that prints references where it is given what they stand for: a terminal's, or a trial's log.

A plugin may print a secret that it was given, warn of it, log it, or raise it where nobody catches it; all of that is
written to a stream in the end. Streams of data are not concealed: a path in them must stay a path.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from hpo_core.references import conceal


class Concealed:
    """Passes on what is written with the references of this process in it; otherwise it is the stream itself.

    Words are concealed, and no halves of them: what is written in pieces, or by descriptor, passes as it is.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As a stream's; the length is that of what was given."""
        self._stream.write(conceal(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As a stream's."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def concealed(stream: TextIO) -> TextIO:
    """A stream concealed, once."""
    return stream if isinstance(stream, Concealed) else Concealed(stream)  # type: ignore[return-value]


def conceal_errors() -> None:
    """Conceal what this process still writes to standard error, to its very end: Python's last words as well."""
    sys.stderr = concealed(sys.stderr)
