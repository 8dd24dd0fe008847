"""A model version trained again from its record, and compared with it.

The trial runs as it did: with its number, its seed and its values, for as many epochs, in this process and without a
study, since nothing is searched. Whether the result may differ depends on what it is run on: the same libraries on the
same kind of machine give the same weights, bit for bit, if the objective is repeatable; others round otherwise. So what
differs in libraries, machine and code is said with the result, and the measure of "the same" is the interval that the
recorded accuracy has anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_core import checkpoints, plugins
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError, UsageError
from hpo_core.evaluation import Evaluation, Question, evaluates
from hpo_core.execution import execute
from hpo_core.registry import provenance
from hpo_core.registry.judging import stored
from hpo_core.registry.measuring import measure
from hpo_core.registry.model_version import ModelVersion
from hpo_core.scheduling import CONTINUE, Decision
from hpo_core.trial import Checkpoint, Ending, Report, Trial
from hpo_core.workers.log import captured, path_of, write_traceback

TIMEOUT = 3600.0
"""Seconds that measuring may take: whoever waits for it can press Ctrl-C."""


@dataclass(frozen=True)
class Number:
    """A number as it was recorded, and as it came out again; None: it was not measured."""

    name: str
    recorded: float | None
    again: float | None

    @property
    def same(self) -> bool:
        """Whether it is the same, to the last bit."""
        return self.recorded == self.again


@dataclass(frozen=True)
class Reproduction:
    """What came of training a version again.

    `metric` is the study's, on what the trial was judged by; `tested` are those of the evaluation. `weights` are the
    sha256 of the files of weights. `differences` are those of libraries, machine, code and data, as (what, recorded,
    now). `accepted` tells whether the result counts as the same, and `reason` why.
    """

    version: str
    directory: str
    metric: Number
    tested: tuple[Number, ...]
    weights: tuple[str, str]
    differences: tuple[tuple[str, Any, Any], ...]
    accepted: bool
    reason: str

    @property
    def same_weights(self) -> bool:
        """Whether the weights are the same, to the last bit."""
        return self.weights[0] == self.weights[1]

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo reproduce --json`."""

        def number(each: Number) -> dict[str, Any]:
            return {"recorded": each.recorded, "again": each.again, "same": each.same}

        return {
            "version": self.version,
            "reproduced": self.accepted,
            "reason": self.reason,
            "metric": {"name": self.metric.name, **number(self.metric)},
            "tested": {each.name: number(each) for each in self.tested},
            "weights": {
                "recorded": self.weights[0],
                "again": self.weights[1],
                "same": self.same_weights,
            },
            "differences": [
                {"what": what, "recorded": recorded, "now": now}
                for what, recorded, now in self.differences
            ],
            "directory": self.directory,
        }


def reproduce(
    version: ModelVersion,
    code_path: list[str] | None,
    *,
    exact: bool = False,
    told: Callable[[Report], None] = lambda _: None,
) -> Reproduction:
    """Train a version again and compare; `told` hears of each epoch.

    Raises UsageError when the record is not enough, and HpoError when the trial does not end as it did.
    """
    origin = _origin(version)
    catalog, _ = plugins.load()
    trial = _trial(version, origin, code_path)
    run = _Run(trial, origin["steps"], origin["step"], told)
    with captured(trial):
        outcome = execute(trial, catalog, run.send)
    write_traceback(trial, outcome)
    if run.kept is None or run.report is None:
        raise HpoError(
            f"{version.label} could not be trained again: {outcome.reason or outcome.ending.value} "
            f"(see {path_of(trial)})"
        )
    if outcome.ending not in (Ending.COMPLETED, Ending.STOPPED):
        raise HpoError(f"{version.label} ended otherwise: {outcome.reason} (see {path_of(trial)})")
    folder = checkpoints.verify(run.kept)
    again = _measured(catalog, version, trial, folder)
    metric = Number(version.metric, version.value, run.report.metrics[version.metric])
    weights = (version.sha256, _sha256(folder / checkpoints.MODEL))
    tested = tuple(_tested(version, again))
    accepted, reason = _judged(version, metric, tested, weights, again, exact)
    differences = tuple(_differences(version, origin, again))
    return Reproduction(
        version.label, trial.directory, metric, tested, weights, differences, accepted, reason
    )


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
    missing = [name for name in ("objective", "seeds", "steps", "step") if name not in origin]
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
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        try:
            made = folder / str(number)
            made.mkdir()
            return made
        except FileExistsError:
            number += 1


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


def _tested(version: ModelVersion, again: Evaluation | None) -> Iterator[Number]:
    recorded = (version.evaluation or {}).get("metrics") or {}
    found = {} if again is None else stored(again, {})["metrics"]
    for name, value in recorded.items():
        if name in found or again is None or again.reason:
            yield Number(name, value, found.get(name))


def _judged(
    version: ModelVersion,
    metric: Number,
    tested: tuple[Number, ...],
    weights: tuple[str, str],
    again: Evaluation | None,
    exact: bool,
) -> tuple[bool, str]:
    if again is not None and again.reason:
        return False, f"the new model could not be measured: {again.reason}"
    if weights[0] == weights[1]:
        return True, "the weights are the same, to the last bit"
    if exact:
        return False, "the weights are others"
    interval = ((version.evaluation or {}).get("intervals") or {}).get("accuracy")
    accuracy = next((each for each in tested if each.name == "accuracy"), None)
    if interval is None or accuracy is None or accuracy.again is None:
        same = "is" if metric.same else "is not"
        return (
            metric.same,
            f"no accuracy was measured on the test part, and {metric.name} {same} the same",
        )
    low, high = interval
    within = low <= accuracy.again <= high
    word = "within" if within else "outside of"
    said = f"the test accuracy is {word} the recorded one's 95 % interval, {low:.4f} to {high:.4f}"
    return within, said


def _differences(
    version: ModelVersion, origin: Mapping[str, Any], again: Evaluation | None
) -> Iterator[tuple[str, Any, Any]]:
    """What is not as it was: (what, recorded, now). The code is that of the working directory."""
    then = _flat(origin.get("environment", {}))
    now = _flat(provenance.surroundings(Path.cwd()))
    for name in dict.fromkeys([*then, *now]):
        if then.get(name) != now.get(name):
            yield name, then.get(name), now.get(name)
    data = (version.evaluation or {}).get("data") or {}
    for name, value in data.items():
        if again is not None and again.data.get(name) != value:
            yield f"data.{name}", value, again.data.get(name)


def _flat(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{path}{key}.")
        else:
            found[f"{path}{key}"] = value
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
