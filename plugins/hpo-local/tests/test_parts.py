"""The small parts under the executors: frames, cores, how a process ended."""

from __future__ import annotations

import math
import os
import socket
import sys
from pathlib import Path

import pytest
from hpo_local.cores import usable_cores

from hpo_core.testing.execution import make_trials
from hpo_core.workers.attempt import Attempt, Limits, in_words
from hpo_core.workers.frames import Reader, encode
from hpo_core.workers.log import captured
from hpo_core.workers.template import ended


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


@pytest.mark.parametrize(
    ("size", "words"), [(1_300_000_000, "1.3 GB"), (250_400_000, "250 MB"), (5_000_000, "5 MB")]
)
def test_bytes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words


def make_attempt(tmp_path: Path) -> Attempt:
    return Attempt(make_trials(tmp_path, 1, "any")[0])


def test_the_clock_of_an_attempt_stands_while_it_waits_for_the_driver(tmp_path: Path) -> None:
    attempt = make_attempt(tmp_path)
    limits = Limits(trial_timeout=10.0, report_timeout=5.0)
    assert attempt.overdue(1e6, limits) is None, "it has not begun"
    attempt.go(100.0)
    assert attempt.overdue(105.0, limits) is None
    assert attempt.overdue(105.5, limits) == "no report for 5.5 s (report_timeout)"
    attempt.reported(seconds=4.0)
    assert attempt.overdue(1e6, limits) is None, "it waits for a decision"
    attempt.go(200.0)
    attempt.reported(seconds=4.0)
    attempt.go(300.0)
    assert attempt.overdue(302.0, limits) is None
    assert attempt.overdue(303.0, limits) == "ran for 11 s (trial_timeout)"
    assert attempt.overdue(1e6, Limits()) is None
    attempt.reported(seconds=3.0)
    assert attempt.overdue(303.0, limits) == "ran for 11 s (trial_timeout)", "it is heard too often"


def test_the_peak_is_the_most_that_was_seen(tmp_path: Path) -> None:
    attempt = make_attempt(tmp_path)
    attempt.held(None)
    assert attempt.peak is None
    for size in (5, 7, 6, None):
        attempt.held(size)
    assert attempt.peak == 7


def test_output_is_put_back_when_the_log_is_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [trial] = make_trials(tmp_path, 1, "any")
    Path(trial.directory).mkdir()
    Path(trial.directory, "log.txt").symlink_to("/dev/full")
    before = os.fstat(1)
    with open(1, "w", closefd=False) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(OSError, match="No space left"), captured(trial):
            print("a word", end="")
        assert os.path.samestat(os.fstat(1), before)


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
