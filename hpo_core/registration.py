"""The end of a study: its best trial's checkpoint becomes a model version."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from hpo_core import checkpoints
from hpo_core.errors import StoreError
from hpo_core.registry import versions
from hpo_core.spec import StudySpec
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Report

if TYPE_CHECKING:  # it imports Optuna; a finished study must answer without
    from optuna.trial import FrozenTrial

    from hpo_core.study import Study


def register_best(
    spec: StudySpec, name: str, engine: Engine, record: StudyRecord, study: Study
) -> None:
    """Make the best checkpoint of the best trial the next version of the model `name`.

    A trial that kept none is an event with the reason. Raises StorageError when the checkpoint is damaged or cannot be
    copied: the same command tries it again.
    """
    best = study.best()
    assert best is not None  # the caller has looked
    saved = study.saved(best.number)
    if saved is None:
        return _skip(study, name, best.number, "no checkpoint")
    with _model(best.number, saved, Path(spec.directory, spec.study)) as file:
        version = None
        if file is not None:
            candidate = _candidate(spec, record, study, best, saved, file)
            version = versions.register(engine, name, candidate, Path(spec.directory, "models"))
    # here nothing is left of what was fetched: once this is said, nobody will look for it any more
    if version is None:
        return _skip(study, name, best.number, f"no {checkpoints.MODEL} in its checkpoint")
    study.record(
        "model_registered",
        name=name,
        version=version.version,
        sha256=version.sha256,
        trial=version.trial,
        path=version.path,
    )


def _skip(study: Study, name: str, number: int, missing: str) -> None:
    reason = f"trial {number} kept {missing}: nothing to register as '{name}'"
    study.record("model_skipped", name=name, reason=reason)


def _candidate(
    spec: StudySpec, record: StudyRecord, study: Study, best: FrozenTrial, saved: Report, file: Path
) -> versions.Candidate:
    return versions.Candidate(
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
def _model(number: int, saved: Report, scratch: Path) -> Iterator[Path | None]:
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
