"""Runs a study: from a checked file and a catalog to parts, from parts to an executor, and to a summary at the end.

Everything that may be wrong is found before the first trial starts; whatever way the run ends, no trial is left
running, no process is left, and the same call continues to the same total.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from hpo_core import options
from hpo_core.catalog import Catalog
from hpo_core.contracts import Executor, StudyInfo
from hpo_core.errors import HpoError, NoSuccessError
from hpo_core.holding import hold
from hpo_core.interruption import Signals
from hpo_core.preparation import prepare, write_files
from hpo_core.registry import provenance, versions
from hpo_core.spec import StudySpec
from hpo_core.storage import database, reading
from hpo_core.storage.studies import StudyRecord
from hpo_core.tracking import Trackers
from hpo_core.trial import Event, Report

if TYPE_CHECKING:  # importing a study imports Optuna; a finished study must answer without
    from hpo_core.study import Study

Observer = Callable[[Event], None]


@dataclass(frozen=True)
class Wishes:
    """What the command line asks beside the file. `more` adds finished trials to the target for good."""

    more: int = 0
    fresh: bool = False
    allow_code: bool = False


def run(
    spec: StudySpec,
    catalog: Catalog,
    observers: Iterable[Observer],
    wishes: Wishes = Wishes(),  # frozen
    on_interrupt: Callable[[str], None] = lambda _: None,
) -> int:
    """Run or continue a study to its target; the process's exit code: 0, 130 or 143.

    `observers` get every event once it is durable; `on_interrupt` is told the name of a first signal. Raises HpoError.
    """
    directory = Path(spec.directory, spec.study)
    with ExitStack() as stack:
        stack.enter_context(hold(directory, spec.study))
        engine = database.open_or_create(spec.storage)
        stack.callback(engine.dispose)
        record = prepare(engine, spec, directory, more=wishes.more, fresh=wishes.fresh)
        if _over(engine, spec, record):
            return _already_finished(engine, record, observers)
        write_files(directory, spec)
        return _drive(spec, catalog, engine, record, list(observers), wishes, on_interrupt)


def _already_finished(engine: Engine, record: StudyRecord, observers: Iterable[Observer]) -> int:
    """Say again what the end of the study said; nothing is stored."""
    last = {event.kind: event for event in reading.events(engine, record)}
    opening = last["study_started"]
    now = {"continued": True, "finished": record.finished, "target": record.target}
    last["study_started"] = replace(opening, data=opening.data | now)
    told = [last[kind] for kind in (*_CLOSING, "model_registered") if kind in last]
    for observer in observers:
        for event in told:
            observer(event)
    if last["study_finished"].data["best_trial"] is None:
        raise _no_success(record.name)
    return 0


_CLOSING = ("study_started", "study_finished")


def _over(engine: Engine, spec: StudySpec, record: StudyRecord) -> bool:
    """Whether the study has ended, at its target or with its space, and a kill did not prevent the registration."""
    told = reading.events(engine, record)
    finished = [event for event in told if event.kind == "study_finished"]
    if not finished or finished[-1].data["target"] != record.target:
        return False
    last = finished[-1]
    if spec.best_as is None or last.data["best_trial"] is None:
        return True
    return any(
        event.kind in ("model_registered", "model_skipped") and event.seq > last.seq
        for event in told
    )


def _drive(
    spec: StudySpec,
    catalog: Catalog,
    engine: Engine,
    record: StudyRecord,
    observers: list[Observer],
    wishes: Wishes,
    on_interrupt: Callable[[str], None],
) -> int:
    from hpo_core.storage.ledger import Ledger
    from hpo_core.study import Study

    ledger = Ledger(engine, record.study_id, spec.study, spec.goal, spec.metric)
    study = Study(spec, record.target, ledger, catalog, _code_path(spec, wishes), observers)
    executor: Executor = options.bind(catalog, "executors", spec.executor).build()

    def stop(signal_name: str) -> None:
        study.drain(f"interrupted by {signal_name}")
        on_interrupt(signal_name)

    with Signals(stop) as signals, _trackers(spec, catalog, study):
        study.describe(_description(spec))
        study.record("study_started", **_opening(spec, record, study))
        try:
            executor.run(study, signals)
        except KeyboardInterrupt:
            if signals.received is None:
                raise
        finally:
            study.release()
        if study.done:
            _close(spec, engine, record, study)
        elif signals.received is not None:
            study.record(
                "study_stopped",
                finished=study.finished,
                target=study.target,
                reason=signals.received.name,
            )
            return signals.exit_code
        else:
            raise HpoError(
                f"the executor '{spec.executor['name']}' returned before the study was done"
            )
    if study.best() is None:
        raise _no_success(spec.study)
    return 0


def _no_success(study: str) -> NoSuccessError:
    return NoSuccessError(f"study '{study}' is over and no trial succeeded: hpo trials {study}")


def _opening(spec: StudySpec, record: StudyRecord, study: Study) -> dict[str, Any]:
    return {
        "study": spec.study,
        "metric": spec.metric,
        "goal": spec.goal,
        "target": record.target,
        "finished": study.finished,
        "continued": study.finished > 0 or study.requeued > 0,
        "sampler": spec.sampler["name"],
        "trial_scheduler": spec.trial_scheduler["name"],
        "executor": spec.executor["name"],
        "storage": database.display(spec.storage),
        "directory": str(Path(spec.directory, spec.study)),
        **_best(study),
    }


def _description(spec: StudySpec) -> dict[str, Any]:
    """What a dashboard shows beside the study: nothing secret, references stand unresolved."""
    return {
        "objective": spec.objective["name"],
        "sampler": spec.sampler["name"],
        "trial_scheduler": spec.trial_scheduler["name"],
        "seed": spec.seed,
        "budget": spec.trials,
        "git_commit": provenance.git_commit(spec.path.resolve().parent),
        "versions": ", ".join(
            f"{name} {version}" for name, version in provenance.versions().items()
        ),
    }


def _best(study: Study) -> dict[str, Any]:
    best = study.best()
    if best is None:
        return {"best_trial": None, "best_value": None, "best_params": None}
    return {
        "best_trial": best.number,
        "best_value": best.value,
        "best_params": dict(best.params),
    }


def _close(spec: StudySpec, engine: Engine, record: StudyRecord, study: Study) -> None:
    """The last events of a study that has reached its target (or the end of its space)."""
    study.record(
        "study_finished",
        finished=study.finished,
        target=study.target,
        **study.counts(),
        **_best(study),
        reason=study.exhausted or "",
    )
    if spec.best_as is not None and study.best() is not None:
        _register(spec, spec.best_as, engine, record, study)


def _register(
    spec: StudySpec, name: str, engine: Engine, record: StudyRecord, study: Study
) -> None:
    best = study.best()
    assert best is not None  # the caller has looked
    checkpoint = best.user_attrs.get("checkpoint")
    if checkpoint is None:
        reason = (
            f"trial {best.number} kept no checkpoint, so there is nothing to register as '{name}'"
        )
        study.record("model_skipped", name=name, reason=reason)
        return
    candidate = versions.Candidate(
        study=spec.study,
        study_id=record.study_id,
        trial=best.number,
        metric=spec.metric,
        value=float(best.values[0]),
        metrics={key: value for key, value in best.user_attrs.items() if _is_metric(key, value)},
        params=best.params,
        config=study.trial(best.number).config,
        checkpoint=Path(checkpoint),
        code_folder=spec.path.resolve().parent,
    )
    version = versions.register(engine, name, candidate, Path(spec.directory, "models"))
    study.record(
        "model_registered",
        name=name,
        version=version.version,
        sha256=version.sha256,
        trial=version.trial,
        path=version.path,
    )


def _is_metric(key: str, value: Any) -> bool:
    return isinstance(value, float) and key != "seconds"


def _code_path(spec: StudySpec, wishes: Wishes) -> list[str] | None:
    """Where user code may be imported from: beside the study file, then the working directory."""
    if not wishes.allow_code:
        return None
    return [str(spec.path.resolve().parent), str(Path.cwd())]


@contextmanager
def _trackers(spec: StudySpec, catalog: Catalog, study: Study) -> Iterator[None]:
    """The study's trackers, told of its events for the length of the context."""
    info = StudyInfo(
        spec.study, spec.metric, spec.goal, study.target, Path(spec.directory, spec.study).resolve()
    )
    makers = [
        (tree["name"], functools.partial(options.bind(catalog, "trackers", tree).build, info))
        for tree in spec.trackers
    ]

    def disabled(name: str, reason: str) -> None:
        study.note("tracker_disabled", tracker=name, reason=reason)

    trackers = Trackers(makers, disabled)
    study.observers.append(functools.partial(_tell, trackers, study))
    try:
        yield
    finally:
        trackers.close()
        study.commit()


def _tell(trackers: Trackers, study: Study, event: Event) -> None:
    """An event in the trackers' words."""
    if event.trial is None:
        return trackers.poll()
    trial, data = study.trial(event.trial), event.data
    if event.kind == "trial_started":
        trackers.on_start(trial)
    elif event.kind == "report":
        trackers.on_report(trial, Report(data["step"], data["metrics"], data["seconds"]))
    elif event.kind == "trial_finished":
        trackers.on_finish(trial, data["state"], data["value"], data["reason"])
