"""Studies made of given curves, for the tests of what is asked about them: nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from sqlalchemy import Engine

from hpo_core import ClassReport, Report
from hpo_core.storage import studies
from hpo_core.storage.ledger import Ledger

OBJECTIVE = {
    "name": "image-classification",
    "epochs": 4,
    "model": {"name": "resnet18", "stem": "auto"},
    "dataset": {"name": "digits", "split_seed": {"choice": list(range(8))}},
    "optimizer": {"name": "sgd", "lr": {"float": [1e-3, 1.0], "log": True}},
    "lr_scheduler": {"choice": ["cosine", {"name": "step", "gamma": 0.1}, "constant"]},
}


@dataclass(frozen=True)
class Told:
    """A trial: its parameters, its accuracy and its loss by epoch, and how it ended."""

    scheduler: str
    seed: int
    accuracy: list[float]
    loss: list[float] = field(default_factory=list)
    lr: float = 0.1
    state: TrialState = TrialState.COMPLETE
    classes: Mapping[int, ClassReport] = field(default_factory=dict)
    attempt: int = 1


def store(
    engine: Engine, name: str, told: Iterable[Told], objective: Mapping[str, Any] = OBJECTIVE
) -> Ledger:
    """Write a study as a driver would."""
    identity = {
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "objective": dict(objective),
    }
    record = studies.create(engine, name, "maximize", identity, None, "runs")
    ledger = Ledger(engine, record.study_id, name, "maximize", "val_accuracy")
    for each in told:
        add(ledger, each)
    ledger.commit()
    return ledger


def add(ledger: Ledger, told: Told) -> None:
    """Add a trial to a study; the next commit stores it."""
    params: dict[str, Any] = {
        "dataset.split_seed": told.seed,
        "optimizer.lr": told.lr,
        "lr_scheduler": told.scheduler,
    }
    distributions: dict[str, BaseDistribution] = {
        "dataset.split_seed": CategoricalDistribution(list(range(8))),
        "optimizer.lr": FloatDistribution(1e-3, 1.0, log=True),
        "lr_scheduler": CategoricalDistribution(["cosine", "step", "constant"]),
    }
    trial_id = ledger.add_trial(params, distributions)
    trial: optuna.trial.FrozenTrial = ledger.mirror.get_trial(trial_id)
    losses = told.loss or [1 - value for value in told.accuracy]
    for step, (accuracy, loss) in enumerate(zip(told.accuracy, losses, strict=True), 1):
        metrics = {"val_accuracy": accuracy, "val_loss": loss}
        report = Report(step, metrics, classes=told.classes.get(step))
        ledger.record_metrics(trial.number, told.attempt, report)
    attributes = {"attempt": told.attempt, "steps": len(told.accuracy), "seconds": 2.0}
    for key, value in attributes.items():
        ledger.mirror.set_trial_user_attr(trial_id, key, value)
    if told.state.is_finished():
        best = max(told.accuracy, default=0.0)
        values = None if told.state is TrialState.FAIL else [best]
        ledger.mirror.set_trial_state_values(trial_id, told.state, values)
    ledger.record("trial_finished", trial.number)
