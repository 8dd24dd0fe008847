"""A model version trained again from its record.

The trial runs as it did: with its number, its seed, its values and as many threads, for as many epochs, in this process
and without a study, since nothing is searched. Whether the result may differ depends on what it is run on: the same
libraries on the same kind of machine give the same weights, bit for bit, if the objective is repeatable; others round
otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpo_core import checkpoints, consent, plugins
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError, StoreError, UsageError
from hpo_core.evaluation import Evaluation, Question, evaluates
from hpo_core.execution import execute
from hpo_core.registry.files import digest
from hpo_core.registry.measuring import measure
from hpo_core.registry.model_version import ModelVersion
from hpo_core.reproduction import comparing
from hpo_core.reproduction.result import Number, Reproduction
from hpo_core.scheduling import CONTINUE, Decision
from hpo_core.trial import Checkpoint, Ending, Report, Trial
from hpo_core.workers.log import captured, path_of, write_traceback
from hpo_core.workers.threads import environment

TIMEOUT = 3600.0
"""Seconds that measuring may take: whoever waits for it can press Ctrl-C."""


def reproduce(
    version: ModelVersion,
    code_path: list[str] | None,
    *,
    exact: bool = False,
    told: Callable[[Report], None] = lambda _: None,
) -> Reproduction:
    """Train a version again and compare; `told` hears of each epoch.

    Raises UsageError when the record is not enough, or names code and no leave was given, and HpoError when the trial
    does not end as it did.
    """
    origin = _origin(version)
    if origin.get("threads"):
        os.environ.update(environment(origin["threads"]))  # before anything reads it
    catalog, _ = plugins.load()
    trial = _trial(version, origin, code_path)
    if code_path is None:
        consent.check(catalog, trial.objective, version.label)
    report, folder = _trained(trial, version.label, origin, catalog, told)
    again = _measured(catalog, version, trial, folder)
    weights = (version.sha256, digest(folder / checkpoints.MODEL))
    metric = Number(version.metric, version.value, report.metrics[version.metric])
    return comparing.compared(version, trial.directory, metric, weights, again, exact)


def _trained(
    trial: Trial,
    label: str,
    origin: Mapping[str, Any],
    catalog: Catalog,
    told: Callable[[Report], None],
) -> tuple[Report, Path]:
    """The report of the epoch whose weights were registered, and the folder of its checkpoint."""
    run = _Run(trial, origin["steps"], origin["step"], told)
    with captured(trial):
        outcome = execute(trial, catalog, run.send)
    write_traceback(trial, outcome)
    said = outcome.reason or outcome.ending.value
    if run.kept is None or run.report is None:
        raise HpoError(f"{label} could not be trained again: {said} (see {path_of(trial)})")
    if outcome.ending not in (Ending.COMPLETED, Ending.STOPPED):
        raise HpoError(f"{label} ended otherwise: {said} (see {path_of(trial)})")
    return run.report, checkpoints.verify(run.kept)


class _Run:
    """Follows a trial up to the last epoch that it had, and remembers the one whose weights were registered."""

    def __init__(self, trial: Trial, steps: int, step: int, told: Callable[[Report], None]) -> None:
        self.report: Report | None = None
        self.kept: Checkpoint | None = None
        self._trial = trial
        self._steps = steps
        self._step = step
        self._told = told

    def send(self, report: Report) -> Decision:
        """Hear of an epoch; the decision that the trial had then."""
        self._told(report)
        if report.step == self._step:
            self.report, self.kept = report, report.checkpoint
        elif report.checkpoint is not None:
            checkpoints.delete(report.checkpoint)  # nobody will look at it
        if report.step >= self._steps and report.step != self._trial.epochs:
            return Decision.stopped(f"it was trained for {self._steps} epochs")
        return CONTINUE


def _origin(version: ModelVersion) -> Mapping[str, Any]:
    """What is recorded of how a version was made. Raises UsageError where that is not enough."""
    origin = version.provenance
    needed = ("objective", "seeds", "steps", "step", "study_file")
    missing = [name for name in needed if name not in origin]
    if missing:
        raise UsageError(
            f"{version.label} was registered by an hpo that did not record its {', '.join(missing)}: "
            "it cannot be trained again from that"
        )
    if origin.get("parent") is not None:
        raise UsageError(
            f"{version.label} is of trial {version.trial}, a clone of trial {origin['parent']} after epoch "
            f"{origin['parent_step']}, which began with that trial's weights: it cannot be trained again by itself; "
            "run its study again in another database (--storage) instead"
        )
    return origin


def _trial(version: ModelVersion, origin: Mapping[str, Any], code_path: list[str] | None) -> Trial:
    return Trial(
        number=version.trial,
        attempt=1,
        objective=origin["objective"],
        params=version.params,
        config=version.config,
        seed=origin["seeds"]["trial"],
        metric=version.metric,
        goal=origin["study_file"]["metric"]["goal"],
        directory=str(_directory(version)),
        code_path=code_path,
        out_of_memory=origin.get("out_of_memory", 0),
    )


def _directory(version: ModelVersion) -> Path:
    """A new folder beside the models: `reproduce/NAME-VERSION/1`, 2, ..."""
    folder = version.folder.parents[2] / "reproduce" / f"{version.name}-{version.version}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            with contextlib.suppress(FileExistsError):
                (folder / str(number)).mkdir()
                return folder / str(number)
    except OSError as error:
        raise StoreError(f"cannot train in {folder}: {error.strerror}") from error
    raise AssertionError("there are endless numbers")


def _measured(
    catalog: Catalog, version: ModelVersion, trial: Trial, folder: Path
) -> Evaluation | None:
    """How the new weights do; None where nobody has measured the old ones."""
    if (version.evaluation or {}).get("reason") != "":
        return None
    if not evaluates(catalog, trial.objective, trial.config):
        return None
    question = Question(folder, trial.objective, trial.config, trial.seed, trial.code_path)
    return measure(question, TIMEOUT, Path(trial.directory, "evaluation.log"))
