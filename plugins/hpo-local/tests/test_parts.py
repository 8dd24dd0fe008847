"""The small parts under the executors: frames, cores, how a process ended."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import pytest
from hpo_local.cores import usable_cores
from hpo_local.frames import Reader, encode
from hpo_local.template import ended


def test_a_message_cut_anywhere_arrives_whole() -> None:
    data = encode({"a": "line\nbreak é"}) + encode({"b": [1, None, True]})
    for cut in range(len(data)):
        reader = Reader(socket.socket())
        reader.end.close()
        found = reader.cut(data[:cut]) + reader.cut(data[cut:])
        assert found == [{"a": "line\nbreak é"}, {"b": [1, None, True]}]


def test_numbers_that_json_lacks_survive() -> None:
    reader = Reader(socket.socket())
    reader.end.close()
    [message] = reader.cut(encode({"nan": math.nan, "up": math.inf, "down": -math.inf}))
    assert math.isnan(message["nan"]) and message["up"] == math.inf and message["down"] == -math.inf


def test_a_reader_tells_the_end_and_drops_half_a_message() -> None:
    ours, theirs = socket.socketpair()
    reader = Reader(ours)
    assert reader.drain() == [] and not reader.ended
    theirs.sendall(encode({"number": 1}) * 40_00 + b'{"number": ')
    theirs.close()
    assert reader.drain() == [{"number": 1}] * 40_00
    assert reader.ended
    ours.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
        (-40, "killed by signal 40"),
    ],
)
def test_an_ending_in_words(code: int, words: str) -> None:
    assert ended(code) == words


def test_the_container_s_quota_limits_the_cores(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    unlimited = usable_cores(limit)
    limit.write_text("max 100000\n")
    assert usable_cores(limit) == unlimited
    limit.write_text("100000 100000\n")
    assert usable_cores(limit) == 1
    limit.write_text("50000 100000\n")
    assert usable_cores(limit) == 1
    limit.write_text("9900000 100000\n")
    assert usable_cores(limit) == unlimited
