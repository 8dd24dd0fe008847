"""The end of a study: its best trial's checkpoint becomes a model version.

Before it does, the model is measured, once: on the part of the data that nothing was chosen by. One that cannot be
measured is registered all the same, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from hpo_core import checkpoints
from hpo_core.catalog import Catalog
from hpo_core.registry import versions
from hpo_core.registry.candidates import completed, model
from hpo_core.registry.gates import failures
from hpo_core.registry.versions import Candidate, ModelVersion
from hpo_core.spec import StudySpec
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Event, Report

if TYPE_CHECKING:  # it imports Optuna; a finished study must answer without
    from optuna.trial import FrozenTrial

    from hpo_core.study import DrivenStudy


def register_best(
    spec: StudySpec,
    name: str,
    catalog: Catalog,
    engine: Engine,
    record: StudyRecord,
    study: DrivenStudy,
    stopped: Callable[[], bool],
) -> None:
    """Make the best checkpoint of the best trial the next version of the model `name`.

    A trial that kept none is an event with the reason. Raises StorageError when the checkpoint is damaged or cannot be
    copied, and StoppedError when `stopped` says so while the model is measured: the same command tries it again.
    """
    best = study.best()
    assert best is not None  # the caller has looked
    saved = study.saved(best.number)
    if saved is None:
        return _skip(study, name, best.number, "no checkpoint")
    with model(best.number, saved, Path(spec.directory, spec.study)) as file:
        version = None
        if file is not None:
            candidate = _candidate(spec, record, study, best, saved, file)
            code_path = study.trial(best.number).code_path
            candidate = completed(
                candidate, name, catalog, engine, record, saved.step, code_path, stopped
            )
            version = versions.register(engine, name, candidate, Path(spec.directory, "models"))
    # here nothing is left of what was fetched: once this is said, nobody will look for it any more
    if version is None:
        return _skip(study, name, best.number, f"no {checkpoints.MODEL} in its checkpoint")
    for said in shortcomings(version):
        study.note("warning", reason=said)
    study.record(
        "model_registered",
        name=name,
        version=version.version,
        sha256=version.sha256,
        trial=version.trial,
        path=version.path,
        **_measured(version),
    )


def shortcomings(version: ModelVersion) -> Iterator[str]:
    """What must be said of a version that was just registered: that it was not measured, or what it did not meet."""
    document = version.evaluation
    if document is None:
        return
    if document["reason"]:
        yield f"model {version.label} could not be measured on the test part: {document['reason']}"
        return
    for said in failures(version):
        yield f"model {version.label} does not meet success_criteria: {said}"


def tells_of_deleted(engine: Engine, event: Event) -> bool:
    """Whether the model version that an event tells of was deleted since: then it is not told again."""
    known = versions.list_versions(engine, event.data["name"])
    return event.data["version"] not in [version.version for version in known]


def _measured(version: ModelVersion) -> dict[str, Any]:
    """What an event says of how a version does, and how that was judged."""
    document = version.evaluation
    if document is None:
        return {}
    judged = {"gates": document.get("gates", [])}
    if document["reason"]:
        return judged
    measured = {"n": document["n"], **document["metrics"]}
    return {"measured": measured, "intervals": document.get("intervals", {}), **judged}


def _skip(study: DrivenStudy, name: str, number: int, missing: str) -> None:
    reason = f"trial {number} kept {missing}: nothing to register as '{name}'"
    study.record("model_skipped", name=name, reason=reason)


def _candidate(
    spec: StudySpec,
    record: StudyRecord,
    study: DrivenStudy,
    best: FrozenTrial,
    saved: Report,
    file: Path,
) -> Candidate:
    return Candidate(
        study=spec.study,
        study_id=record.study_id,
        trial=best.number,
        metric=spec.metric,
        value=saved.metrics[spec.metric],
        metrics={key: value for key, value in saved.metrics.items() if key != spec.metric},
        params=best.params,
        config=study.trial(best.number).config,
        checkpoint=file,
        code_folder=spec.path.resolve().parent,
    )
