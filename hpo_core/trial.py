"""The values that travel between the study, the executors and the workers.

All of them are frozen and made of JSON types, so that they cross a pipe, a cluster or a database without pickle: each
has `to_json` and `from_json`, which are exact inverses.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Self

Goal = Literal["minimize", "maximize"]


class _Json:
    """`to_json` and `from_json` for a flat dataclass of JSON types."""

    def to_json(self) -> dict[str, Any]:
        """The value as a dict of JSON types."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]  # every subclass is a dataclass

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**data)


@dataclass(frozen=True)
class Trial(_Json):
    """One attempt at one configuration: all that a worker needs to know to run it.

    Made by `Study.ask`. `number` counts from 0 and never changes; `attempt` counts from 1 and grows when the trial has
    to be run again. `params` are the searched values under their dotted names, `config` the objective's options with
    those values filled in. `seed` is the same for every attempt. `directory` is where the attempt may keep files:
    whoever writes there first makes it. `code_path` holds the folders that user code may be imported from, and is None
    unless the user allowed code (`--allow-code`).
    """

    number: int
    attempt: int
    objective: str
    params: dict[str, Any]
    config: dict[str, Any]
    seed: int
    metric: str
    goal: Goal
    directory: str
    code_path: list[str] | None = None

    @property
    def epochs(self) -> int | None:
        """The maximum resource: the objective's option `epochs`, where it has one."""
        epochs = self.config.get("epochs")
        return epochs if isinstance(epochs, int) else None


@dataclass(frozen=True)
class Report(_Json):
    """What a trial says after an epoch.

    `step` counts finished epochs (1 after the first) and grows from report to report. `metrics` holds numbers by name,
    the study's metric among them. `seconds` is the time since the report before (or since the start). `checkpoint` is
    the path of a file, inside the trial's directory, that holds the state at this step; the file is complete.
    """

    step: int
    metrics: dict[str, float]
    seconds: float = 0.0
    checkpoint: str | None = None

    def not_finite(self) -> str | None:
        """Why this report must end its trial, or None: `val_loss is nan at step 3`."""
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                return f"{name} is {value} at step {self.step}"
        return None


class Ending(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"  # the objective returned
    STOPPED = "stopped"  # it obeyed a Decision to stop
    FAILED = "failed"  # it raised, its worker died, its metric was not finite
    INTERRUPTED = "interrupted"  # the user stopped the study: the trial will be run again


@dataclass(frozen=True)
class Outcome(_Json):
    """How an attempt ended and why. `traceback` is the user's own, for the trial's log, never for the terminal."""

    ending: Ending
    reason: str = ""
    traceback: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(Ending(data["ending"]), data["reason"], data["traceback"])


@dataclass(frozen=True)
class Event:
    """Something that happened to a study, with its place in the order of things.

    `seq` counts from 0 without gaps within a study. `kind` is one of `study_started`, `trial_started`, `report`,
    `trial_finished`, `trial_interrupted`, `study_stopped`, `study_finished`, `model_registered`, `tracker_disabled`.
    `time` is seconds since the epoch, for people: nothing is decided by it.
    """

    seq: int
    kind: str
    time: float
    trial: int | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One line of `hpo run --json`: `event` and `seq` first, numbers that JSON lacks as null."""
        head: dict[str, Any] = {"event": self.kind, "seq": self.seq, "time": round(self.time, 3)}
        if self.trial is not None:
            head["trial"] = self.trial
        clean: dict[str, Any] = json_safe(self.data)
        return head | clean


def json_safe(value: Any) -> Any:
    """`value` with NaN and infinities, which JSON lacks, replaced by None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value
