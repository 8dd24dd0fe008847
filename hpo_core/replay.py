"""Derives every proposal and decision of a study again from its events, and compares.

A second study, in memory alone, is told what workers said in the order in which it was heard; it must ask for the same
trials with the same parameters and decide the same. That they agree is what lets a killed study continue as if nothing
had happened, whatever number of workers there were; where they do not, a sampler or a trial scheduler depends on
something that is not in the history. The hours of a budget are such a thing, so what they decided is taken as given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError
from hpo_core.history import Standing
from hpo_core.retention import Keep
from hpo_core.spec import StudySpec
from hpo_core.storage import reading
from hpo_core.storage.ledger import Ledger
from hpo_core.storage.studies import StudyRecord
from hpo_core.study import Study
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
    shadow = _Shadow(record, catalog)
    for event in reading.events(engine, record):
        if not shadow.follow(event):
            break
    return shadow.result


class _Shadow:
    """The second study, led along the events of the first."""

    def __init__(self, record: StudyRecord, catalog: Catalog) -> None:
        self.result = Replayed()
        self._catalog = catalog
        self._spec = _spec(record)
        self._ledger = Ledger(None, 0, record.name, record.goal, record.metric)
        self._study: Study | None = None
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
    def _now(self) -> Study:
        if self._study is None:
            raise HpoError("the study's first event is missing: it cannot be replayed")
        return self._study

    def _open(self, data: Mapping[str, Any]) -> None:
        """A driver begins: with another budget or other ranges it is a new study over the same past."""
        self._wind_up()
        budget = replace(Budget(**data["budget"]), hours=None)
        spec = replace(self._spec, objective=data["objective"])
        if self._study is None or (spec, budget) != (self._study.spec, self._study.budget):
            self._study = Study(spec, budget, self._ledger, self._catalog, discard=_keep)

    def _start(self, event: Event) -> bool:
        data = event.data
        if data["origin"] == "enqueued":
            self._ledger.study.enqueue_trial(data["params"])
        trial = self._now.ask()
        self._closing.clear()  # what a clone replaced, which asking for it has closed
        self.result.proposals += data["origin"] in ("new", "cloned")
        told = _started(event.trial, data)
        derived = "nothing" if trial is None else _asked(trial)
        if trial is None or told != derived:
            self._differ(event, "what runs next", told, derived)
            return False
        self._trials[trial.number] = trial
        return True

    def _report(self, event: Event) -> None:
        data, trial = event.data, self._trials[_number(event)]
        saved = data.get("checkpoint")
        checkpoint = None if saved is None else Checkpoint.from_json(saved)
        report = Report(data["step"], data["metrics"], data["seconds"], checkpoint)
        decision = self._now.report(trial, report)
        self.result.decisions += 1
        told = (data["decision"], data["reason"])
        derived = (decision.verdict.value, decision.reason)
        if told != derived and data["by"] != "budget":
            what = f"the decision after epoch {report.step}"
            self._differ(event, what, _said(*told), _said(*derived))

    def _end(self, event: Event) -> None:
        """An attempt ends; a trial that did not run ends with the next step of the study."""
        number, data = _number(event), event.data
        if self._now.standing(number) is not Standing.RUNNING:
            self._closing[number] = data["reason"]
            return
        ending = _ENDINGS.get(event.kind) or Ending(data["ending"])
        reason = "" if ending is Ending.INTERRUPTED else data["reason"]
        self._now.finish(self._trials[number], Outcome(ending, reason))
        derived = self._now.standing(number)
        told = _STANDINGS.get(event.kind, Standing.FINISHED)
        if derived is not told:
            self._differ(event, "what became of the attempt", told.value, str(derived))

    def _wind_up(self) -> None:
        """Trials that were paused or put back were closed, for nothing was left to run."""
        if self._closing:
            self._now.wind_up(max(self._closing.values()).partition(": ")[2])
            self._closing.clear()

    def _differ(self, event: Event, what: str, recorded: str, derived: str) -> None:
        self.result.differences.append(Difference(event.seq, event.trial, what, recorded, derived))


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
    parent = f", from trial {data['parent']}" if "parent" in data else ""
    return f"trial {number}, attempt {data['attempt']}{parent}: {data['params']}"


def _asked(trial: Trial) -> str:
    clone = trial.parent is not None and trial.attempt == 1
    parent = f", from trial {trial.parent}" if clone else ""
    return f"trial {trial.number}, attempt {trial.attempt}{parent}: {trial.params}"


def _said(verdict: str, reason: str) -> str:
    return f"{verdict} ({reason})" if reason else verdict


def _spec(record: StudyRecord) -> StudySpec:
    """The part of a study's file that decides anything."""
    identity = record.identity
    return StudySpec(
        study=record.name,
        metric=record.metric,
        goal=record.goal,
        budget=Budget(),
        seed=identity["seed"],
        objective=identity["objective"],
        sampler=identity["sampler"],
        trial_scheduler=identity["trial_scheduler"],
        executor={},
        trackers=(),
        storage="",
        directory="",
        keep=Keep(),
        best_as=None,
        path=Path(),
    )
