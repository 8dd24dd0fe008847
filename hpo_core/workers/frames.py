"""Messages between the driver, the template and the workers: one JSON object a line over a socket.

JSON and not pickle, because a worker runs foreign code and must not be able to make the driver run it too; lines,
because JSON text has none inside, so that a reader can take what has come so far without ever blocking in the middle
of a message that a killed process did not finish. NaN and infinities are written as Python's json does and read back.
"""

from __future__ import annotations

import json
import socket
from typing import Any

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """One message as it travels."""
    return json.dumps(message).encode() + b"\n"


class Reader:
    """Cuts what arrives at one end of a socket into messages."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.ended = False
        self._rest = b""

    def read(self, flags: int = 0) -> list[Message]:
        """The messages that are complete now; waits for some bytes unless `flags` is MSG_DONTWAIT.

        After the other side has closed, or died, `ended` is True; a message cut short by that is dropped.
        """
        try:
            data = self.end.recv(1 << 16, flags)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        self.ended = not data
        return self.cut(data)

    def drain(self) -> list[Message]:
        """Everything that has arrived so far, without waiting."""
        messages: list[Message] = []
        while not self.ended:
            before = len(self._rest)
            found = self.read(socket.MSG_DONTWAIT)
            messages += found
            if not found and len(self._rest) == before:
                break
        return messages

    def cut(self, data: bytes) -> list[Message]:
        """The messages that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]
