"""A line: one TCP connection between the driver and a slot, with a JSON object a line, as between driver and workers.

The slot listens on the address at which Ray's own servers reach its node (127.0.0.1 in a cluster on loopback), for one
connection, which begins with a secret of 256 bits that the slot made and the driver has been told through Ray. Nothing
is encrypted, as in Ray without TLS; where Ray encrypts, there are no lines.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
from collections.abc import Callable
from typing import cast

from hpo_core.workers.frames import Message, Reader, encode

Address = tuple[str, int, str]
"""Host, port, secret."""

CONNECTING = 3.0  # seconds; a firewall may swallow what is sent


class Line:
    """The slot's end. `obey` is called with what the driver says, `lost` when it has hung up, or is gone."""

    def __init__(
        self,
        server: asyncio.Server,
        obey: Callable[[Message], None],
        lost: Callable[[], None],
    ) -> None:
        self.obey = obey
        self.lost = lost
        self.secret = secrets.token_hex(32)
        self.transport: asyncio.Transport | None = None
        self._server = server

    @property
    def address(self) -> Address:
        """What the driver has to know."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port, self.secret

    def take(self, transport: asyncio.Transport) -> None:
        """The driver is at the other end: nobody else may connect."""
        self.transport = transport
        self._server.close()

    def say(self, message: Message) -> bool:
        """Say something if the driver is connected; whether it is."""
        if self.transport is None:
            return False
        self.transport.write(encode(message))
        return True

    def close(self) -> None:
        """Hang up."""
        self._server.close()
        if self.transport is not None:
            self.transport.close()


class Caller(asyncio.Protocol):
    """One connection to a slot: the driver's, if it begins with the secret."""

    def __init__(self, line: Callable[[], Line]) -> None:
        self._find = line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._reader = Reader(transport.get_extra_info("socket"))
        self._known = False
        self._greeting = b""

    def data_received(self, data: bytes) -> None:
        if not self._known:
            data = self._check(self._greeting + data)
        for message in self._reader.cut(data) if data else ():
            self._find().obey(message)

    def connection_lost(self, error: Exception | None) -> None:
        if self._known:
            self._find().lost()

    def _check(self, data: bytes) -> bytes:
        """What follows the secret; hangs up on who does not know it. Nothing is parsed before."""
        line, secret = self._find(), self._find().secret.encode() + b"\n"
        if len(data) < len(secret):
            self._greeting = data
            return b""
        if line.transport is not None or not hmac.compare_digest(data[: len(secret)], secret):
            self._transport.abort()
            return b""
        self._known = True
        line.take(self._transport)
        return data[len(secret) :]


async def offer(
    host: str, obey: Callable[[Message], None], lost: Callable[[], None]
) -> Line | None:
    """Listen for the driver; None where Ray's traffic is encrypted. Called by a slot."""
    if os.environ.get("RAY_USE_TLS", "0") == "1":
        return None
    lines: list[Line] = []
    server = await asyncio.get_running_loop().create_server(lambda: Caller(lambda: lines[0]), host)
    lines.append(Line(server, obey, lost))
    return lines[0]


def connect(address: Address) -> Reader | None:
    """The driver's end, or None where a slot cannot be reached."""
    host, port, secret = address
    try:
        end = socket.create_connection((host, port), timeout=CONNECTING)
    except OSError:
        return None
    end.settimeout(None)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.sendall(secret.encode() + b"\n")
    return Reader(end)
