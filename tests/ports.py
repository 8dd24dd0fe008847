"""Ports for servers that must be told theirs before they start.

A free port that the kernel chooses may be somebody else's by the time the server wants it: the kernel gives it to the
next who asks for any. These are of a range that it gives to nobody, and each is given once.
"""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_ports = iter(random.SystemRandom().sample(range(20_000, 30_000), 10_000))


def free_port() -> int:
    """A port that nobody on this machine listens on."""
    for port in _ports:
        with suppress(OSError), socket.socket() as end:
            end.bind(("", port))
            return port
    raise AssertionError("every port is taken")
