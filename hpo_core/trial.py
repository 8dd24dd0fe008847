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
class Checkpoint(_Json):
    """The state of a trial after `step` epochs: a folder that appeared whole (see `hpo_core.checkpoints`).

    `sha256` is that of the folder's manifest, which holds those of its files.
    """

    step: int
    path: str
    sha256: str


@dataclass(frozen=True)
class Trial(_Json):
    """One attempt at one configuration: all that a worker needs to know to run it.

    Made by `Study.ask`. `number` counts from 0 and never changes; `attempt` counts from 1 and grows whenever the trial
    is started again: after a pause, after an interruption, after its worker was lost. `params` are the searched values
    under their dotted names, `config` the objective's options with those values filled in. `seed` is the same for every
    attempt. `directory` is where the attempt may keep files: whoever writes there first makes it. `checkpoints` are
    what the attempt may continue from, newest first; an older one serves where a newer one is damaged. `parent` is the
    trial that a clone was made from, and `parent_step` the epoch of the checkpoint that it began with. `code_path`
    holds the folders that user code may be imported from, and is None unless the user allowed code (`--allow-code`).
    `saves_to` is the address (`hpo_core.addresses`) below which the attempt's checkpoints are saved, None: `directory`.
    `out_of_memory` counts the attempts at this trial that were lost for want of memory: an objective that can do with
    less may use it.
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
    checkpoints: tuple[Checkpoint, ...] = ()
    parent: int | None = None
    parent_step: int = 0
    out_of_memory: int = 0
    saves_to: str | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        checkpoints = tuple(Checkpoint.from_json(item) for item in data["checkpoints"])
        return cls(**{**data, "checkpoints": checkpoints})

    @property
    def epochs(self) -> int | None:
        """The maximum resource: the objective's option `epochs`, where it has one."""
        epochs = self.config.get("epochs")
        return epochs if isinstance(epochs, int) else None


@dataclass(frozen=True)
class ClassReport(_Json):
    """How a trial does on each class, measured on the validation part after an epoch.

    `classes` are their names, `precision`, `recall` and `f1` a number from 0 to 1 for each, in their order. `confusion`
    holds (label, predicted, images) by the classes' indices, of which only those with images. `groups` are sets of
    classes by name (`hpo_core.Dataset.groups`), as indices. Raises ValueError for what could not be stored or read
    back, so that an objective is told where it makes one: numbers are Python's own, `tolist()` gives them.
    """

    classes: tuple[str, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    confusion: tuple[tuple[int, int, int], ...]
    groups: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = range(len(self.classes))
        if not all(isinstance(name, str) for name in [*self.classes, *self.groups]):
            raise ValueError("a class report has names of classes and groups that are no text")
        for name in ("precision", "recall", "f1"):
            given = getattr(self, name)
            if len(given) != len(known):
                raise ValueError(f"a class report has {len(given)} {name} for {len(known)} classes")
            if not all(isinstance(number, float | int) for number in given):
                raise ValueError(f"a class report has {name} that are no numbers of Python's")
        indices = [index for entry in self.confusion for index in entry[:2]]
        indices += [index for members in self.groups.values() for index in members]
        if not all(type(index) is int and index in known for index in indices):
            raise ValueError(f"a class report names classes beyond its {len(known)}, or not by int")
        if not all(type(entry[2]) is int and entry[2] >= 0 for entry in self.confusion):
            raise ValueError("a class report counts images otherwise than by int from 0")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        groups = {name: tuple(members) for name, members in data["groups"].items()}
        numbers = {name: tuple(data[name]) for name in ("classes", "precision", "recall", "f1")}
        confusion = tuple((label, guess, images) for label, guess, images in data["confusion"])
        return cls(**numbers, confusion=confusion, groups=groups)

    def labels(self, longest: int = 64) -> list[str]:
        """The classes' names as they can be shown anywhere: printable, not long, none empty, no two alike."""
        found: dict[str, None] = {}
        for index, name in enumerate(self.classes):
            plain = "".join(char if char.isprintable() else "?" for char in name)
            short = plain if len(plain) <= longest else f"{plain[: longest - 1]}…"
            told = f"{short} ({index})".lstrip()
            found[short if short and short not in found else told] = None
        return list(found)


@dataclass(frozen=True)
class Report(_Json):
    """What a trial says after an epoch.

    `step` counts finished epochs (1 after the first) and grows from report to report. `metrics` holds numbers by name,
    the study's metric among them. `seconds` is the time since the report before (or since the start). `checkpoint` is
    the state at this step, where one was saved. `warnings` are for the study's log: a damaged checkpoint, say.
    `classes` is how it does on each class, where the objective says so.
    """

    step: int
    metrics: dict[str, float]
    seconds: float = 0.0
    checkpoint: Checkpoint | None = None
    warnings: tuple[str, ...] = ()
    classes: ClassReport | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        saved, judged = data["checkpoint"], data["classes"]
        checkpoint = None if saved is None else Checkpoint.from_json(saved)
        classes = None if judged is None else ClassReport.from_json(judged)
        warnings = tuple(data["warnings"])
        changed = {"checkpoint": checkpoint, "warnings": warnings, "classes": classes}
        return cls(**{**data, **changed})

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
    PAUSED = "paused"  # it obeyed a Decision to pause: it may be continued from its checkpoint
    FAILED = "failed"  # it raised, or its metric was not finite: it would again
    LOST = "lost"  # its worker died, or ran out of memory or time: it is run again while it may
    INTERRUPTED = "interrupted"  # nothing is wrong with it (the study is stopped, the disk is full): it is run again


@dataclass(frozen=True)
class Outcome(_Json):
    """How an attempt ended and why. `traceback` is the user's own, for the trial's log, never for the terminal.

    Where the executor measures them: `peak_memory` is the most bytes that the attempt's processes held at once,
    `peak_gpu_memory` the most that they held on GPUs, and `gpu_utilization` the mean percentage of the time in which
    they computed there; None also says that they used no GPU. `out_of_memory`: it is known that memory, of the machine
    or of a GPU, is what the attempt was lost for.
    """

    ending: Ending
    reason: str = ""
    traceback: str = ""
    peak_memory: int | None = None
    peak_gpu_memory: int | None = None
    gpu_utilization: float | None = None
    out_of_memory: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**{**data, "ending": Ending(data["ending"])})


@dataclass(frozen=True)
class Event:
    """Something that happened to a study, with its place in the order of things.

    `seq` counts from 0 without gaps within a study. `kind` is one of `study_started`, `trial_started`, `report`,
    `trial_paused`, `trial_lost` (an attempt, to be repeated), `trial_interrupted`, `trial_finished`, `late` (what a
    lost attempt still said), `warning`, `study_stopped`, `study_finished`, `study_changed`, `model_registered`,
    `model_skipped`, `tracker_disabled`, `profile_enqueued` (the trial is its `number`), `profiles_left_out`.
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
