"""A model version as a study leaves it, for the tests of what is made of one: digits, a tiny network, seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_core import CONTINUE, Decision, Ending, Report, Trial
from hpo_core.execution import execute
from hpo_core.registry import versions
from hpo_core.storage import database
from hpo_core.testing.training import checked, installed_catalog

OBJECTIVE = {
    "name": "image-classification",
    "epochs": 3,
    "dataset": {"name": "digits", "image_size": 16, "batch_size": 64},
    "model": {"name": "timm/test_resnet"},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "device": "cpu",
}


FILES = ("evaluation.json", "labels_mapping.json", "model.safetensors", "provenance.json")
"""What lies in its folder."""


@dataclass(frozen=True)
class Registered:
    """The storage that has the version `tiny@1`, and what was reported of its trial last."""

    storage: str
    report: Report


def registered(
    folder: Path, objective: dict[str, Any] = OBJECTIVE, name: str = "tiny"
) -> Registered:
    """Train a model and register it."""
    config = checked("objectives", objective)
    trial = Trial(
        0, 1, config.pop("name"), {}, config, 5, "val_accuracy", "maximize", str(folder / "trial")
    )
    reports: list[Report] = []

    def send(report: Report) -> Decision:
        reports.append(report)
        return CONTINUE

    outcome = execute(trial, installed_catalog(), send)
    assert outcome.ending is Ending.COMPLETED, outcome
    last = reports[-1]
    assert last.checkpoint is not None
    storage = f"sqlite:///{folder}/hpo.db"
    engine = database.open_or_create(storage)
    candidate = versions.Candidate(
        study="tiny-digits",
        study_id=1,
        trial=0,
        metric="val_accuracy",
        value=last.metrics["val_accuracy"],
        metrics=last.metrics,
        params={},
        config=config,
        checkpoint=Path(last.checkpoint.path) / "model.safetensors",
        code_folder=None,
        evaluation={"part": "test", "n": 0, "metrics": {}, "reason": "nobody asked for it"},
    )
    versions.register(engine, name, candidate, folder / "models")
    engine.dispose()
    return Registered(storage, last)


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """A file with another bit in its middle; as it was at the end."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(content)
