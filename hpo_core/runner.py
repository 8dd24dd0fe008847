"""Runs a study: from a checked file and a catalog to parts, from parts to an executor, and to a summary at the end.

Everything that may be wrong is found before the first trial starts; whatever way the run ends, no trial is left
running, no process is left, and the same call continues to the same total.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from hpo_core import consent, options, references, standing, stores
from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.contracts import Executor
from hpo_core.datasets import pinned
from hpo_core.datasets.used import Used
from hpo_core.errors import DiskFullError, HpoError, NoSuccessError, StorageError, StoreError
from hpo_core.evaluation import StoppedError
from hpo_core.faults import point
from hpo_core.holding import hold
from hpo_core.interruption import Signals
from hpo_core.preparation import Prepared, prepared, resolved, write_files
from hpo_core.presentation import show_best
from hpo_core.profiles import profiles
from hpo_core.registration import register_best, tells_of_deleted
from hpo_core.registry import provenance
from hpo_core.retention import strays
from hpo_core.spec import StudySpec
from hpo_core.storage import database, reading, studies
from hpo_core.storage.leases import Lease
from hpo_core.storage.studies import StudyRecord
from hpo_core.stores import Disposal
from hpo_core.tracking import tracked
from hpo_core.trial import Checkpoint, Event

if TYPE_CHECKING:  # importing a study imports Optuna; a finished study must answer without
    from hpo_core.study import DrivenStudy

Observer = Callable[[Event], None]


@dataclass(frozen=True)
class Wishes:
    """What the command line asks beside the file. `more` adds finished trials to the target for good."""

    more: int = 0
    fresh: bool = False
    allow_code: bool = False
    accept_changes: bool = False


def run(
    spec: StudySpec,
    catalog: Catalog,
    observers: Iterable[Observer],
    wishes: Wishes = Wishes(),  # frozen
    on_interrupt: Callable[[str], None] = lambda _: None,
    on_outage: Callable[[str], None] = lambda _: None,
) -> signal.Signals | None:
    """Run or continue a study to its target; the signal that stopped it before, if one did.

    `observers` get every event once it is durable; `on_interrupt` is told the name of a first signal,
    `on_outage` in a sentence that the database is away, and that it is back. Raises HpoError.
    """
    directory = Path(spec.directory, spec.study)
    references.remember(resolved(spec))
    with ExitStack() as stack:
        stack.enter_context(hold(directory, spec.study))
        engine = database.open_or_create(spec.storage)
        stack.callback(engine.dispose)
        known = None if wishes.fresh or wishes.more else studies.find(engine, spec.study)
        if known is None or not _over(engine, spec, known):
            if not wishes.allow_code:
                consent.check(catalog, spec.objective["name"], f"study '{spec.study}'")
            pinned.check(engine, catalog, spec)
        found = stack.enter_context(
            prepared(
                engine,
                spec,
                directory,
                more=wishes.more,
                fresh=wishes.fresh,
                accept_changes=wishes.accept_changes,
            )
        )
        if _over(engine, spec, found.record):
            _tell_again(engine, found.record, observers)
            return None
        environment = provenance.surroundings(spec.path.resolve().parent)
        write_files(directory, spec, environment)
        stack.enter_context(found.lease.renewing())
        disposal = stack.enter_context(Disposal())
        study = _open(spec, catalog, engine, found, list(observers), wishes, on_outage, disposal)
        if study.store is not None:
            stores.check(study.store)
        origin = {"study_file": resolved(spec), "environment": environment}
        return _drive(spec, catalog, engine, found, study, origin, on_interrupt, disposal)


def _tell_again(engine: Engine, record: StudyRecord, observers: Iterable[Observer]) -> None:
    """Say again what the end of the study said; nothing is stored."""
    last = {event.kind: event for event in reading.events(engine, record)}
    if "model_registered" in last and tells_of_deleted(engine, last["model_registered"]):
        del last["model_registered"]
    opening, closing = last["study_started"], last["study_finished"]
    now = {"continued": True, "finished": record.finished, "target": record.target}
    now |= {key: closing.data[key] for key in ("epochs", "seconds")}
    last["study_started"] = replace(opening, data=opening.data | now)
    told = [last[kind] for kind in (*_CLOSING, "model_registered") if kind in last]
    for observer in observers:
        for event in told:
            observer(event)
    if last["study_finished"].data["best_trial"] is None:
        raise _no_success(record.name)


_CLOSING = ("study_started", "study_finished")


def _over(engine: Engine, spec: StudySpec, record: StudyRecord) -> bool:
    """Whether the study has ended, with its budget or its space, and a kill did not prevent the registration."""
    told = reading.events(engine, record)
    finished = [event for event in told if event.kind == "study_finished"]
    if not finished or finished[-1].data["budget"] != asdict(_budget(spec, record)):
        return False
    last = finished[-1]
    opening = next(event for event in reversed(told) if event.kind == "study_started")
    if opening.data["objective"] != json.loads(json.dumps(spec.objective)):
        return False  # a space that was exhausted may have been widened since
    if spec.best_as is None or last.data["best_trial"] is None:
        return True
    return any(
        event.kind in ("model_registered", "model_skipped") and event.seq > last.seq
        for event in told
    )


def _budget(spec: StudySpec, record: StudyRecord) -> Budget:
    """The file's, with the trials that `--more` has added."""
    return replace(spec.budget, trials=record.target)


def _drive(
    spec: StudySpec,
    catalog: Catalog,
    engine: Engine,
    found: Prepared,
    study: DrivenStudy,
    origin: Mapping[str, Any],
    on_interrupt: Callable[[str], None],
    disposal: Disposal,
) -> signal.Signals | None:
    """Drive a study to its end, or to a signal; its trials are made with `origin`, the file and the surroundings."""
    executor: Executor = options.bind(catalog, "executors", spec.executor).build()

    def stop(signal_name: str) -> None:
        study.drain(f"interrupted by {signal_name}")
        on_interrupt(signal_name)

    with Signals(stop) as signals, tracked(spec, catalog, study):
        study.describe(standing.description(spec, origin["environment"]))
        _begin(spec, catalog, study, {**origin, "threads": getattr(executor, "threads", None)})
        for change in found.changed:
            study.note("study_changed", change=str(change))
        _execute(spec, study, executor, _Urgency(signals, found.lease), disposal)
        if not _concluded(spec, catalog, engine, found.record, study, signals):
            return signals.received
    if study.best() is None:
        raise _no_success(spec.study)
    return None


def _execute(
    spec: StudySpec, study: DrivenStudy, executor: Executor, urgency: _Urgency, disposal: Disposal
) -> None:
    """Have trials run until the study is done or is to stop, and leave no checkpoint behind that nobody needs."""
    _sweep(spec, study)
    _sweep_store(study)
    try:
        executor.run(study, urgency)
    except KeyboardInterrupt:
        if urgency.signals.received is None:
            raise
    finally:
        study.release()
    _sweep(spec, study)  # what attempts saved and did not live to report
    if not urgency.signals.now and study.blocked is None:
        disposal.settle()
        _sweep_store(study)


def _concluded(
    spec: StudySpec,
    catalog: Catalog,
    engine: Engine,
    record: StudyRecord,
    study: DrivenStudy,
    signals: Signals,
) -> bool:
    """Say how a run ended: with the study's end, or (False) by a signal. Raises when it got stuck."""
    if study.done:
        try:
            _close(spec, catalog, engine, record, study, lambda: bool(signals.received))
            return True
        except StoppedError:
            assert signals.received is not None  # which stopped the evaluation
            _stop(study, f"{signals.received.name}, before its model was registered")
            return False
    if study.blocked is not None:
        _stop(study, study.blocked)
        raise _stuck(study, study.blocked)
    if signals.received is None:
        raise HpoError(f"the executor '{spec.executor['name']}' returned before the study was done")
    _stop(study, signals.received.name)
    return False


def _stop(study: DrivenStudy, reason: str) -> None:
    study.record("study_stopped", **standing.standing(study), **study.counts(), reason=reason)


def _begin(
    spec: StudySpec, catalog: Catalog, study: DrivenStudy, origin: Mapping[str, Any]
) -> None:
    """Say that a driver runs the study; its first one also enqueues profiles, in the same commit and so once."""
    new = study.new
    study.note("study_started", **standing.opening(spec, study), **origin)
    if new:
        first, why = profiles(spec, catalog)
        for profile in first:
            study.enqueue(profile)
        if why is not None:
            study.note("profiles_left_out", reason=why)
    study.commit()


def _stuck(study: DrivenStudy, reason: str) -> StorageError:
    """What is said of a study that cannot go on here, for want of room or of its store of checkpoints."""
    full = reason.startswith("no space left")
    mend = "make room" if full else "mend that"
    kind = DiskFullError if full else StoreError
    return kind(
        f"{reason}: the study is paused with {study.finished} finished trials; {mend} and run the same command again"
    )


@dataclass(frozen=True)
class _Urgency:
    """Implements `hpo_core.contracts.Interrupt`: also when another driver has taken the study over."""

    signals: Signals
    lease: Lease

    @property
    def now(self) -> bool:
        return self.signals.now or self.lease.lost


def _open(
    spec: StudySpec,
    catalog: Catalog,
    engine: Engine,
    found: Prepared,
    observers: list[Observer],
    wishes: Wishes,
    on_outage: Callable[[str], None],
    discard: Callable[[Checkpoint], None],
) -> DrivenStudy:
    """The study as its events left it."""
    from hpo_core.storage.ledger import Ledger
    from hpo_core.study import DrivenStudy

    record = found.record

    def outage(sentence: str) -> None:
        study.note("warning", reason=sentence)
        on_outage(sentence)

    ledger = Ledger(
        engine,
        record.study_id,
        spec.study,
        spec.goal,
        spec.metric,
        found.lease.guard,
        outage,
    )
    budget = _budget(spec, record)
    code_path = _code_path(spec, wishes)
    data_of = Used(engine, catalog, lambda said: study.note("warning", reason=said))
    study = DrivenStudy(spec, budget, ledger, catalog, code_path, observers, discard, data_of)
    return study


def _sweep(spec: StudySpec, study: DrivenStudy) -> None:
    """Delete the checkpoints that nobody needs and nobody was told of: a crash left them behind.

    Those of attempts that this driver knows nothing of are another's, which has followed it.
    """
    for folder in strays(Path(spec.directory, spec.study, "trials"), study.needed()):
        number, attempt = folder.parts[-4], folder.parts[-3].removeprefix("attempt-")
        if number.isdecimal() and attempt.isdecimal() and study.knows(int(number), int(attempt)):
            point("checkpoint.delete")
            shutil.rmtree(folder, ignore_errors=True)  # what stays is tried again by the next run


def _sweep_store(study: DrivenStudy) -> None:
    """As `_sweep`, where the checkpoints lie elsewhere. What stays is tried again by the next run."""
    if study.store is None:
        return
    try:
        stores.sweep(study.store, study.needed(), study.knows, waits=())
    except OSError as error:
        study.note("warning", reason=f"checkpoints that nobody needs were not deleted: {error}")


def _close(
    spec: StudySpec,
    catalog: Catalog,
    engine: Engine,
    record: StudyRecord,
    study: DrivenStudy,
    stopped: Callable[[], bool],
) -> None:
    """The last events of a study that has reached its target (or the end of its space).

    Raises StoppedError when somebody wants to stop before the model is registered: the same command does it then.
    """
    show_best(engine, record, study)
    study.record(
        "study_finished",
        **standing.standing(study),
        **study.counts(),
        **standing.leading(study),
        reason=standing.why(study),
    )
    if spec.best_as is not None and study.best() is not None:
        register_best(spec, spec.best_as, catalog, engine, record, study, stopped)


def _code_path(spec: StudySpec, wishes: Wishes) -> list[str] | None:
    """Where user code may be imported from: beside the study file, then the working directory."""
    if not wishes.allow_code:
        return None
    return [str(spec.path.resolve().parent), str(Path.cwd())]


def _no_success(study: str) -> NoSuccessError:
    return NoSuccessError(f"study '{study}' is over and no trial succeeded: hpo trials {study}")
