"""When attempts at trials ran, by the events, in the time that drivers ran.

A study may be stopped on Friday and go on on Monday: nobody wants to see the weekend. So times are seconds that drivers
have run, one after the other, as the budget counts them (`hpo_core.history`). A driver that was killed ran until the
last thing that it wrote down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, select

from hpo_core.storage import reading, tables
from hpo_core.storage.database import connect
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Event

RUNNING = "running"

_ENDS = {
    "trial_paused": "paused",
    "trial_lost": "lost",
    "trial_interrupted": "interrupted",
    "trial_finished": "finished",
}


@dataclass(frozen=True)
class Driver:
    """A process that ran the study, from `began` to `ended`, in seconds since the epoch; `before` it, so many ran."""

    began: float
    ended: float
    before: float

    def clock(self, moment: float) -> float:
        """Seconds that drivers had run at a moment, which is taken to be within this one's time."""
        return self.before + min(max(moment, self.began), self.ended) - self.began


@dataclass(frozen=True)
class Attempt:
    """One run of a trial. `began` and `ended` are seconds that drivers had run.

    `why` it began is said where a trial scheduler chose it, `reason` is why it ended.
    `ending` is one of `hpo_core.trial.Ending`, or `running`. A clone began with the checkpoint of `parent` after its
    epoch `parent_step`.
    """

    trial: int
    number: int
    why: str
    began: float
    ended: float
    ending: str
    reason: str
    parent: int | None = None
    parent_step: int = 0

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self.ended - self.began


@dataclass(frozen=True)
class Course:
    """What happened: who drove the study, the attempts in the order of their starts, and what was warned of."""

    drivers: Sequence[Driver]
    attempts: Sequence[Attempt]
    about: dict[str, object]  # what the last driver said when it began
    warnings: Sequence[str]

    @property
    def seconds(self) -> float:
        """How long drivers ran."""
        return sum(driver.ended - driver.began for driver in self.drivers)

    def clones(self) -> list[Attempt]:
        """The first attempts of trials that began with another one's checkpoint."""
        return [each for each in self.attempts if each.parent is not None and each.number == 1]


def read(engine: Engine, record: StudyRecord) -> Course:
    """What happened to a study. Reports are only asked for their times: a large study has a hundred thousand."""
    drivers = _drivers(engine, record)
    kinds = ("study_started", "trial_started", "warning", *_ENDS)
    return _course(drivers, reading.events(engine, record, kinds=kinds))


def _drivers(engine: Engine, record: StudyRecord) -> list[Driver]:
    table = tables.hpo_events
    query = select(table.c.kind, table.c.time).where(table.c.study_id == record.study_id)
    spans: list[list[float]] = []
    with connect(engine) as connection:
        for kind, time in connection.execute(query.order_by(table.c.seq)):
            if kind == "study_started":
                spans.append([time, time])
            elif spans:
                spans[-1][1] = max(spans[-1][1], time)
    found: list[Driver] = []
    for began, ended in spans:
        before = found[-1].clock(found[-1].ended) if found else 0.0
        found.append(Driver(began, ended, before))
    return found


@dataclass
class _Open:
    """An attempt that has begun, and the driver that began it."""

    event: Event
    driver: Driver

    def closed(self, moment: float, ending: str, reason: str) -> Attempt:
        assert self.event.trial is not None
        data = self.event.data
        return Attempt(
            self.event.trial,
            data["attempt"],
            data.get("reason", ""),
            self.driver.clock(self.event.time),
            self.driver.clock(moment),
            ending,
            reason,
            data.get("parent"),
            data.get("parent_step", 0),
        )


@dataclass
class _Told:
    attempts: list[Attempt] = field(default_factory=list)
    running: dict[int, _Open] = field(default_factory=dict)
    about: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def _course(drivers: Sequence[Driver], events: Iterable[Event]) -> Course:
    told, begun = _Told(), -1
    for event in events:
        if event.kind == "study_started":
            begun += 1
            told.about = event.data
        elif event.kind == "warning":
            told.warnings.append(event.data["reason"])
        elif event.kind == "trial_started" and event.trial is not None:
            told.running[event.trial] = _Open(event, drivers[begun])
        elif event.trial in told.running:  # a trial that is closed while it waits ends no attempt
            ending = event.data.get("ending", _ENDS[event.kind])
            ended = told.running.pop(event.trial)
            told.attempts.append(ended.closed(event.time, ending, event.data["reason"]))
    for each in told.running.values():
        told.attempts.append(each.closed(each.driver.ended, RUNNING, ""))
    told.attempts.sort(key=lambda attempt: (attempt.began, attempt.trial))
    return Course(drivers, told.attempts, told.about, told.warnings)
