"""The end of a study: its best trial's checkpoint becomes a model version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from hpo_core import checkpoints
from hpo_core.errors import HpoError
from hpo_core.registry import versions
from hpo_core.spec import StudySpec
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Report

if TYPE_CHECKING:  # it imports Optuna; a finished study must answer without
    from hpo_core.study import Study


def register_best(
    spec: StudySpec, name: str, engine: Engine, record: StudyRecord, study: Study
) -> None:
    """Make the best checkpoint of the best trial the next version of the model `name`.

    A trial that kept none is an event with the reason. Raises HpoError when the checkpoint is damaged or cannot be
    copied: the same command tries it again.
    """
    best = study.best()
    assert best is not None  # the caller has looked
    saved = study.saved(best.number)
    file = None if saved is None else _model(best.number, saved)
    if saved is None or file is None:
        missing = "no checkpoint" if saved is None else f"no {checkpoints.MODEL} in its checkpoint"
        reason = f"trial {best.number} kept {missing}: nothing to register as '{name}'"
        study.record("model_skipped", name=name, reason=reason)
        return
    candidate = versions.Candidate(
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
    version = versions.register(engine, name, candidate, Path(spec.directory, "models"))
    study.record(
        "model_registered",
        name=name,
        version=version.version,
        sha256=version.sha256,
        trial=version.trial,
        path=version.path,
    )


def _model(number: int, saved: Report) -> Path | None:
    """The model in a checkpoint, every byte of which is as it was saved. Raises HpoError."""
    assert saved.checkpoint is not None  # which makes a report a saved one
    try:
        file = checkpoints.verify(saved.checkpoint) / checkpoints.MODEL
    except checkpoints.DamagedError as error:
        raise HpoError(
            f"the checkpoint of trial {number} cannot be registered: it is damaged: {error}"
        ) from error
    return file if file.is_file() else None
