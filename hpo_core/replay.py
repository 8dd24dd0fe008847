"""Derives every proposal and decision of a study again from its events, and compares.

A second study, in memory alone, is told what workers said in the order in which it was heard; it must ask for the same
trials with the same parameters and decide the same. That they agree is what lets a killed study continue as if nothing
had happened, whatever number of workers there were; where they do not, a sampler or a trial scheduler depends on
something that is not in the history. The hours of a budget are such a thing, so what they decided is taken as given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import Engine

from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError
from hpo_core.history import Standing
from hpo_core.record import PROFILE
from hpo_core.retention import Keep
from hpo_core.spec import StudySpec
from hpo_core.storage import reading
from hpo_core.storage.database import connect
from hpo_core.storage.ledger import Ledger
from hpo_core.storage.loading import load_trials
from hpo_core.storage.studies import StudyRecord
from hpo_core.study import DrivenStudy
from hpo_core.trial import Checkpoint, Ending, Event, Outcome, Report, Trial


@dataclass(frozen=True)
class Difference:
    """Something that was recorded otherwise than it is derived; `seq` is the event's."""

    seq: int
    trial: int | None
    what: str
    recorded: str
    derived: str


@dataclass
class Replayed:
    """What was compared. A proposal that differs ends the comparison, since all that follows depends on it."""

    proposals: int = 0
    decisions: int = 0
    differences: list[Difference] = field(default_factory=list)


def replay(engine: Engine, record: StudyRecord, catalog: Catalog) -> Replayed:
    """Compare a stored study with what its events lead to. Raises HpoError when a plugin cannot do it at all."""
    events = reading.events(engine, record)
    shadow = _Shadow(record, catalog, _added(engine, record, events))
    for event in events:
        if not shadow.follow(event):
            break
    return shadow.result


class _Memory(Ledger):
    """A study in memory alone, loaded anew from the one before, as a driver that continues a study loads it."""

    def __init__(self, record: StudyRecord, before: _Memory | None = None) -> None:
        super().__init__(None, 0, record.name, record.goal, record.metric)
        if before is None:
            return
        before.commit()  # what the driver that ended had not yet
        for trial in before.trials():
            self.mirror.adopt(self.study._study_id, trial)
        for key, value in before.mirror.get_study_system_attrs(before.study._study_id).items():
            self.mirror.set_study_system_attr(self.study._study_id, key, value)
        self._kept = list(before.events())
        self._next_seq = len(self._kept)

    def latest(self) -> Mapping[str, Any]:
        """What the last event says."""
        self.commit()
        return self._kept[-1].data


class _Shadow:
    """The second study, led along the events of the first. `added` are trials that it did not make, by number."""

    def __init__(self, record: StudyRecord, catalog: Catalog, added: Mapping[int, _Added]) -> None:
        self.result = Replayed()
        self._catalog = catalog
        self._record = record
        self._added = added
        self._ledger = _Memory(record)
        self._opened: tuple[StudySpec, Budget] | None = None
        self._study: DrivenStudy | None = None
        self._trials: dict[int, Trial] = {}
        self._closing: dict[int, str] = {}  # recorded ends of trials that did not run: why

    def follow(self, event: Event) -> bool:
        """Take one event; False where it cannot go on."""
        if event.kind == "study_started":
            self._open(event.data)
        elif event.kind == "trial_started":
            return self._start(event)
        elif event.kind == "report":
            self._report(event)
        elif event.kind in _ENDINGS or event.kind == "trial_finished":
            self._end(event)
        elif event.kind == "study_finished":
            self._wind_up()
        return True

    @property
    def _now(self) -> DrivenStudy:
        if self._study is None:
            raise HpoError("the study's first event is missing: it cannot be replayed")
        return self._study

    def _open(self, data: Mapping[str, Any]) -> None:
        """A driver begins: with another budget, other ranges or added trials it is a new study over the same past."""
        self._wind_up()
        opened = (_spec(self._record, data["objective"]), Budget(**data["budget"]))
        if opened == self._opened and len(self._ledger.trials()) not in self._added:
            return
        self._opened = spec, budget = opened
        self._ledger = _Memory(self._record, self._ledger)
        while (number := len(self._ledger.trials())) in self._added:
            self._added[number].add_to(self._ledger)
        self._ledger.commit()
        unhurried = replace(budget, hours=None)
        self._study = DrivenStudy(spec, unhurried, self._ledger, self._catalog, discard=_keep)

    def _start(self, event: Event) -> bool:
        trial = self._now.ask()
        self._closing.clear()  # what a clone replaced, which asking for it has closed
        self.result.proposals += event.data["origin"] in ("new", "cloned")
        told = _started(event.trial, event.data)
        derived = "nothing" if trial is None else _started(trial.number, self._ledger.latest())
        if told != derived:
            self._differ(event, "what runs next", told, derived)
        elif trial is not None:
            self._trials[trial.number] = trial
            self._compare(event, "where it came from", _ORIGIN)
            return True
        return False

    def _report(self, event: Event) -> None:
        data, trial = event.data, self._trials[_number(event)]
        saved = data.get("checkpoint")
        checkpoint = None if saved is None else Checkpoint.from_json(saved)
        report = Report(data["step"], data["metrics"], data["seconds"], checkpoint)
        decision = self._now.report(trial, report)
        self.result.decisions += 1
        told = (data["decision"], data["reason"])
        derived = (decision.verdict.value, decision.reason)
        if told != derived and not self._by_hours(data):
            what = f"the decision after epoch {report.step}"
            self._differ(event, what, _said(*told), _said(*derived))

    def _by_hours(self, data: Mapping[str, Any]) -> bool:
        hours = None if self._opened is None else self._opened[1].hours
        return data["by"] == "budget" and hours is not None

    def _end(self, event: Event) -> None:
        """An attempt ends; a trial that did not run ends with the next step of the study."""
        number, data = _number(event), event.data
        standing = self._now.standing(number)
        if standing is not Standing.RUNNING:
            if standing is not Standing.FINISHED:  # as one is that was added and refused
                self._closing[number] = data["reason"]
            return
        ending = _ENDINGS.get(event.kind) or Ending(data["ending"])
        reason = "" if ending is Ending.INTERRUPTED else data["reason"]
        short = bool(data.get("out_of_memory"))
        self._now.finish(self._trials[number], Outcome(ending, reason, out_of_memory=short))
        derived = self._now.standing(number)
        told = _STANDINGS.get(event.kind, Standing.FINISHED)
        if derived is not told:
            self._differ(event, "what became of the attempt", told.value, str(derived))
        elif told is Standing.FINISHED:
            self._compare(event, "what came of the trial", ("state", "value"))

    def _wind_up(self) -> None:
        """Trials that were paused or put back were closed, for nothing was left to run."""
        if self._closing and self._study is not None:
            self._study.wind_up(max(self._closing.values()).partition(": ")[2])
            self._closing.clear()

    def _compare(self, event: Event, what: str, keys: Iterable[str]) -> None:
        """The event with the one that was derived."""
        said = self._ledger.latest()
        told, derived = ({key: data.get(key) for key in keys} for data in (event.data, said))
        if told != derived:
            self._differ(event, what, str(told), str(derived))

    def _differ(self, event: Event, what: str, recorded: str, derived: str) -> None:
        self.result.differences.append(Difference(event.seq, event.trial, what, recorded, derived))


@dataclass(frozen=True)
class _Added:
    """A trial that somebody added through Optuna, as it is stored: to be run, or `finished` with its result."""

    frozen: FrozenTrial
    finished: bool

    def add_to(self, ledger: Ledger) -> None:
        """Add it again."""
        if self.finished:
            ledger.study.add_trial(self.frozen)
        else:
            whose = {k: v for k, v in self.frozen.user_attrs.items() if k == PROFILE}
            params = self.frozen.system_attrs.get("fixed_params", {})
            ledger.study.enqueue_trial(params, user_attrs=whose)


def _added(engine: Engine, record: StudyRecord, events: Iterable[Event]) -> dict[int, _Added]:
    """What was added to a study from outside, by number. Those that it refused to run are finished with that."""
    origins: dict[int | None, str] = {}
    for event in events:
        if event.kind == "trial_started":
            origins.setdefault(event.trial, event.data["origin"])
    with connect(engine) as connection:
        return {
            frozen.number: _Added(
                frozen, frozen.number not in origins and frozen.state.is_finished()
            )
            for frozen in load_trials(connection, record.study_id)
            if origins.get(frozen.number) not in ("new", "cloned")
        }


_ORIGIN = ("origin", "reason", "learned_from", "fidelity", "parent", "parent_step")

_ENDINGS = {
    "trial_paused": Ending.PAUSED,
    "trial_lost": Ending.LOST,
    "trial_interrupted": Ending.INTERRUPTED,
}

_STANDINGS = {
    "trial_paused": Standing.PAUSED,
    "trial_lost": Standing.REQUEUED,
    "trial_interrupted": Standing.REQUEUED,
}


def _keep(_: Checkpoint) -> None:
    """The checkpoints belong to the study that is replayed."""


def _number(event: Event) -> int:
    assert event.trial is not None  # the ledger writes events of these kinds with their trial
    return event.trial


def _started(number: int | None, data: Mapping[str, Any]) -> str:
    cloned = f", from trial {data['parent']}" if "parent" in data else ""
    return f"trial {number}, attempt {data['attempt']}{cloned}: {data['params']}"


def _said(verdict: str, reason: str) -> str:
    return f"{verdict} ({reason})" if reason else verdict


def _spec(record: StudyRecord, objective: Mapping[str, Any]) -> StudySpec:
    """The part of a study's file that decides anything, with its objective as it was then."""
    identity = record.identity
    return StudySpec(
        study=record.name,
        metric=record.metric,
        goal=record.goal,
        budget=Budget(),
        seed=identity["seed"],
        objective=objective,
        sampler=identity["sampler"],
        trial_scheduler=identity["trial_scheduler"],
        executor={},
        trackers=(),
        storage="",
        directory="",
        checkpoints=None,
        keep=Keep(),
        best_as=None,
        path=Path(),
    )
