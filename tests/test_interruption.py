"""Signals: the first asks, the second insists, and what was there before is put back."""

from __future__ import annotations

import signal

import pytest

from hpo_core import interruption
from hpo_core.contracts import Interrupt
from hpo_core.interruption import Signals

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", BOTH)
def test_the_first_signal_asks(number: signal.Signals) -> None:
    told: list[str] = []
    with Signals(told.append) as signals:
        signal.raise_signal(number)
        assert told == [number.name]
        assert signals.received is number and not signals.second and not signals.now
    assert signals.received == number


@pytest.mark.parametrize("first", BOTH)
@pytest.mark.parametrize("second", BOTH)
def test_the_second_signal_stops_now(first: signal.Signals, second: signal.Signals) -> None:
    told: list[str] = []
    with Signals(told.append) as signals:
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
        assert signals.now and told == [first.name]
        signal.raise_signal(second)  # a third one does not disturb the clearing up
    assert signals.received == first


def test_after_sigterm_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "GRACE_SECONDS", -1.0)
    with Signals(lambda _: None) as signals:
        assert not signals.now
        signal.raise_signal(signal.SIGTERM)
        assert signals.now and not signals.second


def test_after_ctrl_c_patience_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "GRACE_SECONDS", -1.0)
    with Signals(lambda _: None) as signals:
        signal.raise_signal(signal.SIGINT)
        assert not signals.now


def test_the_handlers_before_are_put_back_also_after_an_error() -> None:
    before = [signal.getsignal(number) for number in BOTH]
    with pytest.raises(ZeroDivisionError), Signals(lambda _: None):
        assert [signal.getsignal(number) for number in BOTH] != before
        _ = 1 / 0
    assert [signal.getsignal(number) for number in BOTH] == before


def test_without_a_signal_nothing_is_asked() -> None:
    with Signals(lambda _: pytest.fail("nobody sent a signal")) as signals:
        interrupt: Interrupt = signals
        assert not interrupt.now and signals.received is None
