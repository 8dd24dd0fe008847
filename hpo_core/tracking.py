"""Runs trackers so that none of them can delay or end a study.

Each tracker has a daemon thread and a queue of its own: the driver only ever puts a call into a queue. A tracker that
raises, that takes too long over a call, or that falls so far behind that its queue is full, is switched off, once; what
it was still to be told is dropped. A thread that hangs cannot be ended: it is left behind, and being a daemon it does
not keep the process from ending.

Everything but the trackers' own methods happens in the driver's thread: that a tracker is off is noticed at the next
call, and `on_disabled` is called there, because it writes an event and only the driver writes.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_core import options, references
from hpo_core.catalog import Catalog
from hpo_core.contracts import StudyInfo, Tracker
from hpo_core.spec import StudySpec
from hpo_core.trial import Event, Report, Trial

if TYPE_CHECKING:  # it imports Optuna; a finished study must answer without
    from hpo_core.study import DrivenStudy

WAITING = 10_000  # calls that may wait for one tracker

Build = Callable[[], Tracker]
OnDisabled = Callable[[str, str], None]


class Trackers:
    """The trackers of a study, called by the study after what they are told has been stored.

    `trackers` are pairs of a name and a function that builds the tracker: building, too, happens in its thread, may
    fail, and has `timeout` seconds. `on_disabled(name, reason)` is called once for a tracker that is switched off.
    """

    def __init__(
        self,
        trackers: Iterable[tuple[str, Build]],
        on_disabled: OnDisabled,
        timeout: float = 10.0,
        waiting: int = WAITING,
    ) -> None:
        self._on_disabled = on_disabled
        self._timeout = timeout
        self._lanes = [Lane(name, build, waiting) for name, build in trackers]

    def on_start(self, trial: Trial) -> None:
        """Tell that an attempt at a trial has begun."""
        self._tell("on_start", trial)

    def on_report(self, trial: Trial, report: Report) -> None:
        """Tell a report."""
        self._tell("on_report", trial, report)

    def on_finish(self, trial: Trial, state: str, value: float | None, reason: str) -> None:
        """Tell that a trial has ended for good."""
        self._tell("on_finish", trial, state, value, reason)

    def poll(self) -> None:
        """Switch off the trackers that have raised or hang. Every call does this first; cheap."""
        for lane in list(self._lanes):
            if reason := lane.raised or lane.hanging(self._timeout):
                self._disable(lane, reason)

    def close(self) -> None:
        """Let the trackers hear what is still waiting and then their `close`; takes at most the timeout.

        One that needs longer is switched off. Nothing may be told afterwards.
        """
        self._tell("close")
        deadline = time.monotonic() + self._timeout
        for lane in list(self._lanes):
            if reason := lane.end(max(0.0, deadline - time.monotonic())):
                self._disable(lane, reason)
        self._lanes.clear()

    def _tell(self, method: str, *arguments: Any) -> None:
        self.poll()
        for lane in list(self._lanes):
            if not lane.tell(method, arguments):
                self._disable(lane, f"it fell behind: {lane.waiting} calls are waiting")

    def _disable(self, lane: Lane, reason: str) -> None:
        self._lanes.remove(lane)
        lane.off = True
        self._on_disabled(lane.name, reason)


class Lane:
    """One tracker with its thread and its queue. `off`, once set, keeps the thread from calling it again."""

    def __init__(self, name: str, build: Build, waiting: int) -> None:
        self.name = name
        self.waiting = waiting
        self.off = False
        self.raised: str | None = None
        self._call: tuple[str, float] | None = ("its construction", time.monotonic())  # since when
        self._calls: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue(waiting)
        self._thread = threading.Thread(
            target=self._run, args=(build,), name=f"tracker {name}", daemon=True
        )
        self._thread.start()

    def tell(self, method: str, arguments: tuple[Any, ...]) -> bool:
        """Queue a call; False when there is no room."""
        try:
            self._calls.put_nowait((method, arguments))
        except queue.Full:
            return False
        return True

    def end(self, seconds: float) -> str | None:
        """Wait for the call of `close` to be over, which ends the thread; why the tracker is in trouble, or None."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            method = self._call[0] if self._call else "close"
            return f"{method} had not returned when the study ended"
        return self.raised

    def hanging(self, timeout: float) -> str | None:
        """What takes longer than `timeout` seconds, or None."""
        call = self._call  # read once: the thread replaces it
        if call is None or time.monotonic() - call[1] <= timeout:
            return None
        return f"{call[0]} took longer than {timeout:g} s"

    def _run(self, build: Build) -> None:
        """The thread: build, then one call after another until `close`, an error, or being switched off."""
        method = "its construction"
        try:
            tracker = build()
            while method != "close" and not self.off:
                self._call = None
                method, arguments = self._calls.get()
                self._call = (method, time.monotonic())
                if not self.off:
                    getattr(tracker, method)(*arguments)
        except BaseException as error:  # a foreign tracker may raise anything; the study goes on
            text = " ".join(str(error).split())
            self.raised = f"{method} raised {type(error).__name__}: {text}".rstrip(": ")
        self._call = None


@contextmanager
def tracked(spec: StudySpec, catalog: Catalog, study: DrivenStudy) -> Iterator[None]:
    """The study's trackers, told of its events for the length of the context."""
    info = StudyInfo(
        spec.study,
        spec.metric,
        spec.goal,
        study.budget.trials,
        Path(spec.directory, spec.study).resolve(),
    )
    makers = [
        (tree["name"], functools.partial(options.bind(catalog, "trackers", tree).build, info))
        for tree in spec.trackers
    ]

    def disabled(name: str, reason: str) -> None:
        said = references.conceal(reason)  # whole: a cut secret is not found
        study.note("tracker_disabled", tracker=name, reason=said[:500])

    trackers = Trackers(makers, disabled)
    study.observers.append(functools.partial(_tell, trackers, study))
    try:
        yield
    finally:
        trackers.close()
        study.commit()


def _tell(trackers: Trackers, study: DrivenStudy, event: Event) -> None:
    """An event in the trackers' words."""
    if event.trial is None or event.data.get("attempt") == 0:  # refused before it was started
        return trackers.poll()
    trial, data = study.trial(event.trial), event.data
    if event.kind == "trial_started":
        trackers.on_start(trial)
    elif event.kind == "report":
        trackers.on_report(trial, Report(data["step"], data["metrics"], data["seconds"]))
    elif event.kind == "trial_finished":
        trackers.on_finish(trial, data["state"], data["value"], data["reason"])
