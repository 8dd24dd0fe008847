"""What came of a study: read from its database, by whoever ran it or by anybody later.

A value in JSON types (`to_dict`) that knows where the rest is: the trials, the model version, and through it
predictions and exports.

>>> result = StudyResult.read("digits", storage)
>>> result.counts["complete"], result.model_version
(2, 'tiny-digits@1')
>>> StudyResult.from_dict(result.to_dict()) == result
True
>>> result.model.version.evaluation["n"]
270
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hpo_core.errors import UsageError
from hpo_core.study_file import DEFAULT_STORAGE
from hpo_core.trial import Goal

if TYPE_CHECKING:
    from hpo_core.facade.model import Model
    from hpo_core.storage.reading import TrialRow


@dataclass(frozen=True)
class Best:
    """The best trial so far, failed ones aside; the earliest of equals."""

    number: int
    value: float
    params: Mapping[str, Any]


@dataclass(frozen=True)
class StudyResult:
    """How far a study is, and what it found.

    `storage` is its database's address. `counts` has the number of trials that are `complete`,
    `pruned`, `failed`, `running` and `paused`, `target` how many it is to have (None: other limits end it).
    `checkpoint` is where the best trial's best checkpoint lies, a folder or a URL, and `model_version` what it was
    registered as, `NAME@N`; None where there is none. `stopped_by` is the signal that ended this run early.
    """

    study: str
    storage: str = field(repr=False)
    directory: str
    metric: str
    goal: Goal
    counts: Mapping[str, int]
    target: int | None
    best: Best | None
    checkpoint: str | None
    model_version: str | None
    stopped_by: str | None = None

    @classmethod
    def read(
        cls,
        study: str,
        storage: str = DEFAULT_STORAGE,
        stopped_by: signal.Signals | None = None,
    ) -> StudyResult:
        """The result of the study of that name. Raises UsageError with the nearest name, and StorageError."""
        from hpo_core.registry import candidates, versions
        from hpo_core.storage import database, reading, studies

        engine = database.open_existing(storage)
        record = studies.called(engine, study)
        status = reading.status(engine, record)
        row = reading.best_trial(engine, record)
        saved = None if row is None else candidates.checkpoint(engine, record, row.number)
        version = None if row is None else versions.version_of(engine, record.study_id, row.number)
        return cls(
            study=study,
            storage=storage,
            directory=record.directory,
            metric=record.metric,
            goal=record.goal,
            counts=status.to_json()["trials"],
            target=record.target,
            best=None
            if row is None or row.value is None
            else Best(row.number, row.value, row.params),
            checkpoint=None if saved is None else saved.path,
            model_version=None if version is None else version.label,
            stopped_by=None if stopped_by is None else stopped_by.name,
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        best = data["best"]
        return cls(**{**data, "best": None if best is None else Best(**best)})

    def to_dict(self) -> dict[str, Any]:
        """The result in JSON types. A storage whose password stood in the study itself cannot be opened by it."""
        from hpo_core.storage.database import display

        return asdict(self) | {"storage": display(self.storage)}

    @property
    def exit_code(self) -> int:
        """What a process may end with: 0, or 128 + the number of the signal that stopped it."""
        return 0 if self.stopped_by is None else 128 + signal.Signals[self.stopped_by]

    @property
    def model(self) -> Model | None:
        """The model version that the best trial became, to predict with and to export."""
        from hpo_core.facade.model import Model

        return None if self.model_version is None else Model.load(self.model_version, self.storage)

    def trials(self) -> list[TrialRow]:
        """Every trial as it is now, by number."""
        from hpo_core.storage import database, reading, studies

        engine = database.open_existing(self.storage)
        return reading.trials(engine, studies.called(engine, self.study))

    def refreshed(self) -> StudyResult:
        """The study as it is now."""
        return StudyResult.read(self.study, self.storage)

    def predict(self, paths: Iterable[str | Path], **options: Any) -> list[Mapping[str, Any]]:
        """As `Model.predict` of the best trial's model. Raises UsageError where it was not registered."""
        return self._model().predict(paths, **options)

    def export(self, to: str | Path, **options: Any) -> Mapping[str, Any]:
        """As `Model.export` of the best trial's model. Raises UsageError where it was not registered."""
        return self._model().export(to, **options)

    def _model(self) -> Model:
        model = self.model
        if model is None:
            raise UsageError(
                f"no model of study '{self.study}' was registered: register(best_as=...) in the study does it"
            )
        return model
