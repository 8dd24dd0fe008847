"""The end of a study: its best trial's checkpoint becomes a model version.

Before it does, the model is measured, once: on the part of the data that nothing was chosen by. One that cannot be
measured is registered all the same, with the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from hpo_core import checkpoints
from hpo_core.catalog import Catalog
from hpo_core.errors import PluginError, StoreError
from hpo_core.evaluation import Evaluation, Question, evaluates
from hpo_core.registry import versions
from hpo_core.registry.judging import failed, stored
from hpo_core.registry.measuring import measure
from hpo_core.registry.origin import origin_of
from hpo_core.registry.versions import Candidate, ModelVersion
from hpo_core.spec import StudySpec
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Report

if TYPE_CHECKING:  # it imports Optuna; a finished study must answer without
    from optuna.trial import FrozenTrial

    from hpo_core.study import Study

TIMEOUT = 900.0
"""Seconds that measuring may take, of a study that was run before it could say so."""

LOG = "evaluation.log"
"""The file in a study's folder that holds what was printed while its model was measured last."""


def register_best(
    spec: StudySpec,
    name: str,
    catalog: Catalog,
    engine: Engine,
    record: StudyRecord,
    study: Study,
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


def completed(
    candidate: Candidate,
    name: str,
    catalog: Catalog,
    engine: Engine,
    record: StudyRecord,
    step: int,
    code_path: list[str] | None,
    stopped: Callable[[], bool] = lambda: False,
) -> Candidate:
    """A candidate with where it comes from, and with how it does, unless it is a version of the model `name` already.

    `step` is the epoch of its checkpoint. Raises StoppedError, and StorageError when nothing can be written down.
    """
    known = versions.list_versions(engine, name)
    its = (candidate.study_id, candidate.trial, versions.digest(candidate.checkpoint))
    if its in [(version.study_id, version.trial, version.sha256) for version in known]:
        return candidate
    origin = origin_of(engine, record, candidate.trial) | {"step": step}
    made = replace(candidate, provenance=origin)
    criteria = origin.get("success_criteria") or {}
    config = dict(candidate.config)
    question = Question(
        candidate.checkpoint.parent,
        origin["objective"],
        config,
        origin["seeds"]["trial"],
        code_path,
    )
    try:
        if evaluates(catalog, question.objective, config):
            found = _measure(question, origin, candidate, Path(record.directory), stopped)
        elif criteria:
            found = Evaluation(reason=f"'{question.objective}' does not measure its models")
        else:
            return made
    except PluginError as error:  # whoever registers a model by hand may have other plugins
        found = Evaluation(reason=str(error))
    if found.data and isinstance(origin.get("dataset"), Mapping):
        made = replace(made, provenance=origin | {"dataset": origin["dataset"] | dict(found.data)})
    return replace(made, evaluation=stored(found, criteria))


def _measure(
    question: Question,
    origin: Mapping[str, Any],
    candidate: Candidate,
    folder: Path,
    stopped: Callable[[], bool],
) -> Evaluation:
    registered = origin.get("study_file", {}).get("register") or {}
    timeout = registered.get("evaluation_timeout", TIMEOUT)
    try:
        return measure(question, timeout, folder / LOG, stopped)
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror}"
        raise versions.not_registered(candidate.trial, error, reason, folder) from error


def shortcomings(version: ModelVersion) -> Iterator[str]:
    """What must be said of a version that was just registered: that it was not measured, or what it did not meet."""
    document = version.evaluation
    if document is None:
        return
    if document["reason"]:
        yield f"model {version.label} could not be measured on the test part: {document['reason']}"
        return
    for said in failed(document):
        yield f"model {version.label} does not meet success_criteria: {said}"


def _measured(version: ModelVersion) -> dict[str, Any]:
    """What an event says of how a version does."""
    document = version.evaluation
    if document is None or document["reason"]:
        return {}
    return {"measured": {"n": document["n"], **document["metrics"]}}


def _skip(study: Study, name: str, number: int, missing: str) -> None:
    reason = f"trial {number} kept {missing}: nothing to register as '{name}'"
    study.record("model_skipped", name=name, reason=reason)


def _candidate(
    spec: StudySpec, record: StudyRecord, study: Study, best: FrozenTrial, saved: Report, file: Path
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


@contextlib.contextmanager
def model(number: int, saved: Report, scratch: Path) -> Iterator[Path | None]:
    """The model in a checkpoint, every byte of which is as it was saved. Raises StoreError and DiskFullError."""
    assert saved.checkpoint is not None  # which makes a report a saved one
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(checkpoints.fetched(saved.checkpoint, scratch))
        except checkpoints.DamagedError as error:
            raise StoreError(
                f"the checkpoint of trial {number} cannot be registered: it is damaged: {error}; put it right, or take "
                "'register' out of the study file, and run the same command again"
            ) from error
        except OSError as error:
            reason = str(error.strerror or error)
            raise versions.not_registered(number, error, reason, scratch) from error
        file = folder / checkpoints.MODEL
        yield file if file.is_file() else None
