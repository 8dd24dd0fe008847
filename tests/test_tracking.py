"""Trackers that behave, raise, hang and fall behind, and the study that none of them may delay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clock import Clock

from hpo_core import Report, tracking
from hpo_core.testing.tracking import make_study, make_trial
from hpo_core.tracking import Trackers

REPORT = Report(1, {"accuracy": 0.5})


class Remembering:
    """A tracker that writes down its calls, and the thread they came in."""

    def __init__(self, act: Callable[[str], None] = lambda method: None) -> None:
        self.calls: list[str] = []
        self.threads: set[threading.Thread] = set()
        self._act = act

    def _called(self, method: str) -> None:
        self.calls.append(method)
        self.threads.add(threading.current_thread())
        self._act(method)

    def on_start(self, *_: Any) -> None:
        self._called("start")

    def on_report(self, *_: Any) -> None:
        self._called("report")

    def on_finish(self, *_: Any) -> None:
        self._called("finish")

    def close(self) -> None:
        self._called("close")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging trackers wait for; opened at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the trackers: who is only slow is never taken for one that hangs."""
    clock = Clock()
    monkeypatch.setattr(tracking, "time", clock)
    return clock


@pytest.fixture
def disabled() -> list[tuple[str, str]]:
    """What `on_disabled` was called with."""
    return []


def runner(
    disabled: list[tuple[str, str]], timeout: float = 10.0, waiting: int = 100, **trackers: Any
) -> Trackers:
    """Trackers by name; a function among them is the builder itself."""
    here = threading.current_thread()

    def on_disabled(name: str, reason: str) -> None:
        assert threading.current_thread() is here, "only the driver's thread may write"
        disabled.append((name, reason))

    pairs = [
        (name, one if callable(one) else lambda one=one: one) for name, one in trackers.items()
    ]
    return Trackers(pairs, on_disabled, timeout, waiting)


def drive(trackers: Trackers, folder: Path, reports: int = 3) -> None:
    """One trial."""
    trial = make_trial(make_study(folder), 0)
    trackers.on_start(trial)
    for _ in range(reports):
        trackers.on_report(trial, REPORT)
    trackers.on_finish(trial, "complete", 0.5, "")


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that another thread brings about."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def poll_until(trackers: Trackers, condition: Callable[[], bool]) -> None:
    def polled() -> bool:
        trackers.poll()
        return condition()

    until(polled)


def until_idle(trackers: Trackers, name: str, tracker: Remembering) -> None:
    """Wait until a tracker has heard of a trial and is not busy any more."""
    (lane,) = [lane for lane in trackers._lanes if lane.name == name]
    until(lambda: tracker.calls[-1:] == ["finish"] and lane._call is None)


def test_every_tracker_hears_everything_in_order(
    tmp_path: Path, disabled: list[tuple[str, str]]
) -> None:
    one, other = Remembering(), Remembering()
    trackers = runner(disabled, one=one, other=other)
    drive(trackers, tmp_path)
    trackers.close()
    assert one.calls == other.calls == ["start", "report", "report", "report", "finish", "close"]
    assert disabled == []
    assert len(one.threads) == 1 and one.threads != other.threads
    assert threading.current_thread() not in one.threads | other.threads


@pytest.mark.parametrize("method", ["start", "report", "finish"])
@pytest.mark.parametrize("error", [RuntimeError("no\nserver"), SystemExit("bye")])
def test_one_that_raises_is_switched_off_once(
    tmp_path: Path, disabled: list[tuple[str, str]], method: str, error: BaseException
) -> None:
    def act(called: str) -> None:
        if called == method:
            raise error

    bad, good = Remembering(act), Remembering()
    trackers = runner(disabled, bad=bad, good=good)
    for _ in range(2):
        drive(trackers, tmp_path)
        poll_until(trackers, lambda: len(disabled) == 1)
    trackers.close()
    text = str(error).replace("\n", " ")
    assert disabled == [("bad", f"on_{method} raised {type(error).__name__}: {text}")]
    assert bad.calls.count(method) == 1 and bad.calls[-1] == method, "called after it raised"
    assert good.calls.count("finish") == 2 and good.calls[-1] == "close"


def test_one_that_cannot_be_built_is_switched_off(
    tmp_path: Path, disabled: list[tuple[str, str]]
) -> None:
    def build() -> Remembering:
        raise ImportError("no module named wandb")

    trackers = runner(disabled, bad=build)
    drive(trackers, tmp_path)
    poll_until(trackers, lambda: bool(disabled))
    assert disabled == [("bad", "its construction raised ImportError: no module named wandb")]


def test_one_that_hangs_is_switched_off_and_delays_nothing(
    tmp_path: Path, disabled: list[tuple[str, str]], gate: threading.Event, clock: Clock
) -> None:
    hanging, good = Remembering(lambda method: gate.wait() and None), Remembering()
    trackers = runner(disabled, timeout=30.0, hanging=hanging, good=good)
    drive(trackers, tmp_path)
    until(lambda: hanging.calls == ["start"])
    until_idle(trackers, "good", good)
    clock.now += 29
    trackers.poll()
    assert disabled == []
    clock.now += 2
    drive(trackers, tmp_path)
    assert disabled == [("hanging", "on_start took longer than 30 s")]
    gate.set()
    until(lambda: good.calls.count("finish") == 2)
    trackers.close()
    assert good.calls[-1] == "close"
    assert hanging.calls == ["start"], "called after it was switched off"


def test_a_construction_that_hangs_is_switched_off(
    disabled: list[tuple[str, str]], gate: threading.Event, clock: Clock
) -> None:
    trackers = runner(disabled, timeout=30.0, slow=lambda: gate.wait() and Remembering())
    clock.now += 31
    trackers.poll()
    assert disabled == [("slow", "its construction took longer than 30 s")]


def test_one_that_falls_behind_is_switched_off(
    tmp_path: Path, disabled: list[tuple[str, str]], gate: threading.Event
) -> None:
    slow = Remembering(lambda method: gate.wait() and None)
    trackers = runner(disabled, waiting=10, slow=slow)
    drive(trackers, tmp_path, reports=20)
    trackers.close()
    assert disabled == [("slow", "it fell behind: 10 calls are waiting")]


def test_close_waits_for_a_slow_one(tmp_path: Path, disabled: list[tuple[str, str]]) -> None:
    slow = Remembering(lambda method: time.sleep(0.01))
    trackers = runner(disabled, slow=slow)
    drive(trackers, tmp_path, reports=5)
    trackers.close()
    assert slow.calls == ["start", *["report"] * 5, "finish", "close"]
    assert disabled == []


def test_close_gives_up_on_one_that_hangs(
    tmp_path: Path, disabled: list[tuple[str, str]], gate: threading.Event, clock: Clock
) -> None:
    def act(method: str) -> None:
        if method == "close":
            gate.wait()

    bad = Remembering(act)
    trackers = runner(disabled, timeout=0.3, bad=bad)
    drive(trackers, tmp_path)
    until_idle(trackers, "bad", bad)
    trackers.close()
    assert disabled == [("bad", "close had not returned when the study ended")]
    trackers.close()
    assert len(disabled) == 1


def test_an_error_in_close_is_told(tmp_path: Path, disabled: list[tuple[str, str]]) -> None:
    def act(method: str) -> None:
        if method == "close":
            raise OSError("disk full")

    trackers = runner(disabled, bad=Remembering(act))
    trackers.close()
    assert disabled == [("bad", "close raised OSError: disk full")]
