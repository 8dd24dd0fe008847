"""Studies that trackers follow: they hear everything, and hold nothing up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clock import Clock
from stored import MakeSpec, Offer, RunStudy, states, stored

from hpo_core import tracking
from hpo_core.spec import StudySpec
from hpo_core.tracking import Trackers


class Following:
    """A tracker that writes down what it is told, or misbehaves."""

    def __init__(self, study: Any, *, mood: str = "calm") -> None:
        self.study, self.mood = study, mood
        self.calls: list[str] = []
        FOLLOWED.append(self)

    def on_start(self, trial: Any) -> None:
        self.calls.append(f"start {trial.number}")

    def on_report(self, trial: Any, report: Any) -> None:
        if self.mood == "angry":
            raise OSError("no room")
        if self.mood == "slow":
            HANGS.set()
            RELEASE.wait()
        self.calls.append(f"report {trial.number} {report.step} {report.metrics['loss']}")

    def on_finish(self, trial: Any, state: str, value: float | None, reason: str) -> None:
        self.calls.append(f"finish {trial.number} {state} {value} {reason}".strip())

    def close(self) -> None:
        self.calls.append("close")


FOLLOWED: list[Following] = []
HANGS, RELEASE = threading.Event(), threading.Event()


@pytest.fixture
def following(offer: Offer) -> Iterator[None]:
    """The tracker `following`; whatever hangs in it is let go afterwards."""
    FOLLOWED.clear()
    HANGS.clear()
    RELEASE.clear()
    offer("trackers", "following", Following)
    yield
    RELEASE.set()


def tracked(make_spec: MakeSpec, *moods: str) -> StudySpec:
    trackers = ", ".join(f"{{name: following, mood: {mood}}}" for mood in moods)
    return make_spec(trials=2, **{"seed: 3": f"seed: 3\ntrackers: [{trackers}]"})


@pytest.mark.usefixtures("following")
def test_a_tracker_hears_everything_in_order(
    make_spec: MakeSpec, run: RunStudy, tmp_path: Path
) -> None:
    spec = tracked(make_spec, "calm")
    told = run(spec)
    (tracker,) = FOLLOWED
    info = tracker.study
    assert (info.name, info.metric, info.goal, info.target) == ("bowl", "loss", "minimize", 2)
    assert info.directory == tmp_path / "runs" / "bowl" and info.directory.is_dir()
    expected = []
    for event in told:
        if event.kind == "trial_started":
            expected.append(f"start {event.trial}")
        elif event.kind == "report":
            expected.append(f"report {event.trial} {event.data['step']} {event.data['value']}")
        elif event.kind == "trial_finished":
            expected.append(f"finish {event.trial} complete {event.data['value']}")
    assert tracker.calls == [*expected, "close"]
    assert len(expected) == 10


@pytest.mark.usefixtures("following")
def test_a_tracker_that_raises_is_switched_off_and_the_study_goes_on(
    make_spec: MakeSpec, run: RunStudy
) -> None:
    spec = tracked(make_spec, "angry", "calm")
    told = run(spec)
    off = [event for event in stored(spec) if event.kind == "tracker_disabled"]
    assert [event.data for event in off] == [
        {"tracker": "following", "reason": "on_report raised OSError: no room"}
    ]
    assert off[0] in told
    assert states(spec) == ["complete"] * 2
    calm = next(tracker for tracker in FOLLOWED if tracker.mood == "calm")
    assert len(calm.calls) == 11


@pytest.mark.usefixtures("following")
def test_a_tracker_that_hangs_is_switched_off_and_the_study_goes_on(
    make_spec: MakeSpec, run: RunStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    class Late(Trackers):
        """Looks at the clock when there is one that hangs."""

        def close(self) -> None:
            assert HANGS.wait(60)
            clock.now += 11
            super().close()

    monkeypatch.setattr(tracking, "time", clock)
    monkeypatch.setattr(tracking, "Trackers", Late)
    spec = tracked(make_spec, "slow")
    run(spec)
    (off,) = [event for event in stored(spec) if event.kind == "tracker_disabled"]
    assert off.data == {"tracker": "following", "reason": "on_report took longer than 10 s"}
    assert states(spec) == ["complete"] * 2


@pytest.mark.usefixtures("following")
def test_a_tracker_that_cannot_be_built_is_switched_off(
    make_spec: MakeSpec, run: RunStudy, offer: Offer
) -> None:
    def unbuildable(study: Any) -> None:
        raise RuntimeError("no such server")

    offer("trackers", "unbuildable", unbuildable)
    spec = make_spec(trials=1, **{"seed: 3": "seed: 3\ntrackers: [unbuildable]"})
    run(spec)
    (off,) = [event for event in stored(spec) if event.kind == "tracker_disabled"]
    assert off.data["reason"] == "its construction raised RuntimeError: no such server"


@pytest.mark.usefixtures("following")
def test_a_tracker_hears_of_every_attempt_and_of_one_end(
    saving_spec: Callable[..., StudySpec], run: RunStudy
) -> None:
    spec = saving_spec(
        "{name: promoting, best: 1}", "{trials: 1}", **{"seed: 3": "seed: 3\ntrackers: [following]"}
    )
    run(spec)
    calls = [" ".join(call.split()[:2]) for call in FOLLOWED[0].calls]
    assert calls == [
        *("start 0", "report 0", "start 0", "report 0", "report 0", "finish 0", "close"),
    ]
