"""What is to become a version: a checkpoint's model, with where it comes from and how it does.

The same for the best trial at the end of a study and for one that is registered by hand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from hpo_core import addresses, checkpoints
from hpo_core.catalog import Catalog
from hpo_core.errors import PluginError, StoreError
from hpo_core.evaluation import Evaluation, Question, evaluates
from hpo_core.history import History
from hpo_core.registry import versions
from hpo_core.registry.judging import stored
from hpo_core.registry.measuring import measure
from hpo_core.registry.origin import origin_of
from hpo_core.registry.versions import Candidate
from hpo_core.retention import located
from hpo_core.storage import reading
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Checkpoint, Report

TIMEOUT = 900.0
"""Seconds that measuring may take, of a study that was run before it could say so."""

LOG = "evaluation.log"
"""The file in a study's folder that holds what was printed while its model was measured last."""


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


def checkpoint(engine: Engine, record: StudyRecord, number: int) -> Checkpoint | None:
    """The best checkpoint of a trial that is there."""
    saved = saved_report(engine, record, number)
    return None if saved is None else saved.checkpoint


def saved_report(engine: Engine, record: StudyRecord, number: int) -> Report | None:
    """The best report of a trial whose checkpoint is there."""
    sign = 1 if record.goal == "maximize" else -1
    history = History(lambda report: sign * report.metrics[record.metric])
    for event in reading.events(engine, record, number):
        history.apply(event)
    saved = history.trials[number].saved if number in history.trials else None
    if saved is None or saved.checkpoint is None:
        return None
    path = located(saved.checkpoint.path, str(Path(record.directory, "trials")))
    place = addresses.resolved(path)
    if not addresses.is_remote(place) and not Path(place).exists():
        return None  # the study has deleted it: others were better
    return replace(saved, checkpoint=replace(saved.checkpoint, path=path))
