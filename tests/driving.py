"""Toys for studies whose trials pause, and drivers of studies that die wherever a test wants them to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from stored import stored

from hpo_core import (
    CONTINUE,
    Clone,
    Decision,
    Ending,
    Event,
    Next,
    Outcome,
    Report,
    Resume,
    Run,
    SchedulerContext,
    Start,
    Trial,
    TrialScheduler,
    Wait,
    checkpoints,
)
from hpo_core.catalog import Catalog
from hpo_core.execution import execute
from hpo_core.spec import StudySpec
from hpo_core.storage import database, studies
from hpo_core.storage.ledger import Ledger
from hpo_core.study import DrivenStudy


def curve(x: float, y: float, epochs: int) -> list[float]:
    """The losses of `saving`: each follows from the one before, so that only a restored state goes on right."""
    losses, loss = [], 100.0
    for epoch in range(1, epochs + 1):
        loss = 0.5 * loss + ((x - 1) ** 2 + y**2) / epoch
        losses.append(loss)
    return losses


def saving(run: Run, *, x: float, y: float = 0.0, epochs: int = 3) -> None:
    """Saves its state after every epoch and continues from it."""
    loss, done = 100.0, 0
    if run.restored is not None:
        state = json.loads((run.restored.path / "state.json").read_text())
        loss, done = state["loss"], run.restored.step
        assert state["epoch"] == done
    for epoch in range(done + 1, epochs + 1):
        loss = 0.5 * loss + ((x - 1) ** 2 + y**2) / epoch
        with run.checkpoint(epoch) as folder:
            (folder / "state.json").write_text(json.dumps({"epoch": epoch, "loss": loss}))
            (folder / checkpoints.MODEL).write_text(f"{run.trial.number}/{epoch}")
        if run.report(epoch, {"loss": loss, "other": -loss}).stop:
            return


class Promoting(TrialScheduler):
    """Pauses every trial after an epoch and, once there is no room for another, resumes the `best`, one by one."""

    def __init__(
        self, context: SchedulerContext, *, best: int = 2, fidelity: int | None = None
    ) -> None:
        self._best = best
        self._fidelity = fidelity
        self.told: list[tuple[Any, ...]] = []
        self._scores: dict[int, float] = {}
        self._paused: set[int] = set()
        self._resumed: set[int] = set()
        self._running: set[int] = set()

    def on_start(self, trial: Trial) -> None:
        self.told.append(("start", trial.number, trial.attempt))
        self._running.add(trial.number)
        if trial.number in self._paused:
            self._paused.remove(trial.number)
            self._resumed.add(trial.number)

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        self.told.append(("report", trial.number, report.step, score))
        if report.step > 1:
            return CONTINUE
        self._scores[trial.number] = score
        return Decision.paused("rung 1")

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        self.told.append(("finish", trial.number, outcome.ending))
        self._running.discard(trial.number)
        if outcome.ending is Ending.PAUSED:
            self._paused.add(trial.number)
        else:
            self._paused.discard(trial.number)

    def next(self, room: bool) -> Next:
        if room:
            return Start()
        if self._running or len(self._resumed) == self._best or not self._paused:
            return Wait()
        best = max(self._paused, key=lambda number: (self._scores[number], -number))
        return Resume(best, f"best of {len(self._paused)}")

    def fidelity(self) -> int | None:
        return self._fidelity


class Exploiting(TrialScheduler):
    """Starts two trials, pauses each after every epoch, and replaces the worse one by a clone of the better one.

    When there is no room for another clone, what is left is resumed to its end.
    """

    def __init__(self, context: SchedulerContext) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._scores: dict[int, float] = {}
        self._params: dict[int, dict[str, Any]] = {}
        self._paused: set[int] = set()

    def on_start(self, trial: Trial) -> None:
        self.told.append(("start", trial.number, trial.attempt, trial.parent, trial.parent_step))
        self._params[trial.number] = trial.params
        self._paused.discard(trial.number)

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        self._scores[trial.number] = score
        return Decision.paused("a generation")

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        self.told.append(("finish", trial.number, outcome.ending))
        if outcome.ending is Ending.PAUSED:
            self._paused.add(trial.number)
        else:
            self._paused.discard(trial.number)

    def next(self, room: bool) -> Next:
        order = sorted(self._paused, key=lambda number: (self._scores[number], -number))
        if len(self._params) < 2:
            return Start() if room else Wait()
        if len(order) == 2 and room:
            worse, better = order
            params = self._params[better]
            return Clone(better, params | {"y": params["y"] / 2}, "exploits", replaces=worse)
        return Resume(order[0], "goes on") if order else Wait()


class Scripted(TrialScheduler):
    """Answers what a test puts into `answers`, then as stopping rules do; pauses trials at the epochs of `pauses`."""

    answers: list[Next] = []  # noqa: RUF012  # emptied by the fixture of the catalog
    pauses: dict[int, int] = {}  # noqa: RUF012
    stops: dict[int, int] = {}  # noqa: RUF012

    def __init__(self, context: SchedulerContext) -> None:
        self.seen: list[tuple[int, int]] = []
        self.endings: list[tuple[int, Ending, str]] = []

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        self.seen.append((trial.number, report.step))
        if self.stops.get(trial.number) == report.step:
            return Decision.stopped("enough")
        if self.pauses.get(trial.number) == report.step:
            return Decision.paused("later")
        return CONTINUE

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        self.endings.append((trial.number, outcome.ending, outcome.reason))

    def next(self, room: bool) -> Next:
        return self.answers.pop(0) if self.answers else super().next(room)


def clone(parent: int, x: float = 1.0, y: float = 1.0, replaces: int | None = None) -> Clone:
    """A clone in the space of the tests' study."""
    return Clone(parent, {"x": x, "y": y}, f"exploits trial {parent}", replaces)


# ---- drivers ----


def open_study(spec: StudySpec, catalog: Catalog, events: list[Event] | None = None) -> DrivenStudy:
    """Open or create a study as the runner does."""
    engine = database.open_or_create(spec.storage)
    record = studies.find(engine, spec.study) or studies.create(
        engine, spec.study, spec.goal, spec.identity(), spec.budget.trials, "runs"
    )
    ledger = Ledger(engine, record.study_id, spec.study, spec.goal, spec.metric)
    observers = [] if events is None else [events.append]
    return DrivenStudy(spec, spec.budget, ledger, catalog, observers=observers)


def drive(study: DrivenStudy, catalog: Catalog, limit: int | None = None) -> list[dict[str, Any]]:
    """Run up to `limit` attempts to their ends; the parameters proposed."""
    proposed = []
    while (limit is None or len(proposed) < limit) and (trial := study.ask()) is not None:
        proposed.append(trial.params)
        outcome = execute(trial, catalog, lambda report, trial=trial: study.report(trial, report))
        study.finish(trial, outcome)
    return proposed


class Killed(KeyboardInterrupt):
    """The driver dies here; nothing that an objective could catch."""


class Mortal:
    """A study whose driver dies before a call of its, or never. With `durable` it commits after every call."""

    def __init__(self, study: DrivenStudy, calls: int | None, durable: bool) -> None:
        self.study = study
        self._left = calls
        self._durable = durable

    def drive(self, catalog: Catalog) -> None:
        """Run trials until there are none; raises Killed."""
        while (trial := self._call(self.study.ask)) is not None:
            outcome = execute(trial, catalog, self._sender(trial))
            self._call(self.study.finish, trial, outcome)

    def _sender(self, trial: Trial) -> Callable[[Report], Decision]:
        return lambda report: self._call(self.study.report, trial, report)

    def _call(self, method: Callable[..., Any], *given: Any) -> Any:
        if self._left == 0:
            raise Killed
        if self._left is not None:
            self._left -= 1
        answer = method(*given)
        if self._durable:
            self.study.commit()
        return answer


def kills(spec: StudySpec, catalog: Catalog, durable: bool) -> Iterator[StudySpec]:
    """The study killed before its first call and continued to its end, before its second one, and so on to the last.

    Each is a study of its own, named after the number of calls that it was left.
    """
    calls, killed = 0, True
    while killed:
        cut = replace(spec, study=f"{spec.study}-{calls}")
        try:
            Mortal(open_study(cut, catalog), calls, durable).drive(catalog)
            killed = False
        except Killed:
            drive(open_study(cut, catalog), catalog)
        yield cut
        calls += 1


# ---- what became of a study ----


def frozen(spec: StudySpec) -> list[FrozenTrial]:
    """The trials as plain Optuna reads them."""
    return optuna.load_study(study_name=spec.study, storage=spec.storage).trials


def results(spec: StudySpec) -> list[tuple[Any, ...]]:
    """All that a kill must not change of the trials; as the ledger reads them, for Optuna takes its time."""
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    ledger = Ledger(engine, record.study_id, spec.study, spec.goal, spec.metric)
    return [
        (
            trial.number,
            trial.state,
            trial.params,
            trial.values,
            trial.intermediate_values,
            trial.user_attrs.get("reason"),
        )
        for trial in ledger.trials()
    ]


def decisions(spec: StudySpec) -> list[tuple[Any, ...]]:
    """Every decision in its order, those about repeated steps aside."""
    return [
        (event.trial, event.data["step"], event.data["decision"], event.data["reason"])
        for event in stored(spec)
        if event.kind == "report" and "repeated" not in event.data
    ]


def on_disk(spec: StudySpec) -> set[str]:
    """The checkpoints that exist: `TRIAL/ATTEMPT/STEP`, as numbers."""
    folders = Path(spec.directory, spec.study, "trials").glob("*/attempt-*/checkpoints/*")
    return {
        "/".join(
            (
                str(int(folder.parts[-4])),
                folder.parts[-3].removeprefix("attempt-"),
                str(int(folder.name.removeprefix("step-"))),
            )
        )
        for folder in folders
    }
