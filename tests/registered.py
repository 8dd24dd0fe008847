"""Model versions for the tests of the registry, without a training."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from hpo_core.registry import versions
from hpo_core.registry.versions import Candidate, ModelVersion
from hpo_core.storage import studies


def study(engine: Engine, name: str = "search") -> int:
    """A study without trials; its id."""
    identity = {"metric": {"name": "accuracy", "goal": "maximize"}, "objective": {"name": "o"}}
    return studies.create(engine, name, "maximize", identity, 9, f"runs/{name}").study_id


def candidate(folder: Path, study_id: int = 1, trial: int = 0, **changes: Any) -> Candidate:
    """A trial whose checkpoint holds its own number, with a file that belongs to the model and one that does not."""
    checkpoint = folder / f"trial-{trial}"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "model.safetensors").write_text(f"weights of {trial}")
    (checkpoint / "labels_mapping.json").write_text('{"classes": ["a", "b"]}')
    (checkpoint / "state.safetensors").write_text("an optimizer's")
    made = Candidate(
        study="search",
        study_id=study_id,
        trial=trial,
        metric="accuracy",
        value=0.9 + trial / 100,
        metrics={"loss": 0.5 - trial / 100},
        params={"optimizer.lr": 0.1 * (trial + 1)},
        config={"epochs": 3, "optimizer": {"name": "sgd", "lr": 0.1 * (trial + 1)}},
        checkpoint=checkpoint / "model.safetensors",
        code_folder=None,
        git_commit="c0ffee",
    )
    return replace(made, **changes)


def register(
    engine: Engine, folder: Path, name: str = "digits", trial: int = 0, **changes: Any
) -> ModelVersion:
    """A version of a model, in `folder`/models."""
    return versions.register(
        engine, name, candidate(folder, trial=trial, **changes), folder / "models"
    )


def evaluation(accuracy: float, passed: bool, low: float, high: float) -> dict[str, Any]:
    """What an evaluation on test data says."""
    reason = f"{accuracy} ({low} to {high} on 360 images), at least 0.9"
    return {
        "part": "test",
        "n": 360,
        "metrics": {"accuracy": accuracy, "latency_seconds": 0.004},
        "intervals": {"accuracy": [low, high]},
        "classes": {
            "classes": ["a", "b"],
            "precision": [accuracy, 1.0],
            "recall": [1.0, accuracy],
            "f1": [0.9, 0.8],
            "confusion": [[0, 0, 180], [1, 1, 180]],
            "groups": {},
        },
        "gates": [{"name": "accuracy", "passed": passed, "reason": reason}],
    }


def at_once(many: int, act: Callable[[int], object]) -> list[int]:
    """Have so many processes do something at the same moment; their exit codes (1: it raised)."""
    gate, starter = os.pipe()
    children = [_child(gate, starter, number, act) for number in range(many)]
    os.close(gate)
    os.close(starter)  # now all of them go
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _child(gate: int, starter: int, number: int, act: Callable[[int], object]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.close(starter)
        os.read(gate, 1)
        act(number)
        code = 0
    except BaseException as error:
        print(repr(error), flush=True)
    finally:
        os._exit(code)


def folders(models: Path) -> Iterator[str]:
    """The names of everything in a model's folder."""
    return (path.name for path in sorted(models.iterdir()))
