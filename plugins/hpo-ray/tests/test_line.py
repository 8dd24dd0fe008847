"""Lines between driver and slots: who may connect, and what is said. No cluster is needed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hpo_ray.line import Address, Line, connect, offer

from hpo_core.workers.frames import Message, Reader, encode


class Slot:
    """The slot's side, in a loop of its own thread."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.news = threading.Event()
        self.lost = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.line: Line = self.do(offer("127.0.0.1", self.obey, self.lost.set))

    def do(self, coroutine: Any) -> Any:
        """Run something in the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def obey(self, message: Message) -> None:
        self.heard.append(message)
        self.news.set()

    async def say(self, message: Message) -> bool:
        return self.line.say(message)

    async def close(self) -> None:
        self.line.close()


@contextmanager
def listening() -> Iterator[tuple[Slot, Address]]:
    """A slot that listens, and where."""
    slot = Slot()
    address = slot.line.address
    try:
        yield slot, address
    finally:
        slot.do(slot.close())
        slot.do(asyncio.sleep(0.01))
        slot.loop.call_soon_threadsafe(slot.loop.stop)
        slot.thread.join(60)
        slot.loop.close()


def called(address: Address) -> Reader:
    line = connect(address)
    assert line is not None
    return line


def test_what_is_said_arrives_in_pieces_or_together() -> None:
    with listening() as (slot, address):
        line = called(address)
        text = encode({"trial": "x" * 200_000}) + encode({"decision": 1})
        line.end.sendall(text[:70_000])
        line.end.sendall(text[70_000:])
        while len(slot.heard) < 2:
            assert slot.news.wait(60)
        assert slot.heard[0] == {"trial": "x" * 200_000} and slot.heard[1] == {"decision": 1}
        assert slot.do(slot.say({"report": float("inf")}))
        assert line.read() == [{"report": float("inf")}]
        line.end.close()
        assert slot.lost.wait(60)


@pytest.mark.parametrize("greeting", ["no secret", "0" * 64])
def test_who_does_not_know_the_secret_is_not_heard(greeting: str) -> None:
    with listening() as (slot, address):
        with socket.create_connection(address[:2]) as stranger:
            stranger.settimeout(60)
            stranger.sendall(greeting.encode() + b"\n" + encode({"trial": "evil"}) + b" " * 100)
            with pytest.raises(ConnectionResetError):
                assert not stranger.recv(1)
                raise ConnectionResetError  # closed without a reset
        assert not slot.heard and not slot.do(slot.say({"report": 1}))
        line = called(address)  # the driver still can
        line.end.sendall(encode({"trial": 1}))
        assert slot.news.wait(60)
        assert slot.heard == [{"trial": 1}]
        line.end.close()


def test_only_one_may_connect() -> None:
    with listening() as (slot, address):
        line = called(address)
        line.end.sendall(encode({"trial": 1}))
        assert slot.news.wait(60)
        assert connect(address) is None
        line.end.close()


def test_nobody_listens_where_ray_encrypts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USE_TLS", "1")
    slot = Slot.__new__(Slot)
    assert asyncio.run(offer("127.0.0.1", slot.obey, lambda: None)) is None
