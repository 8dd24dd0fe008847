"""Why a trial became what it is, told by its events: where its parameters came from, and what was decided when.

Nothing is guessed and nothing is run: whatever is said here was written down when it happened. `hpo why` puts it into
words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpo_core.trial import Event

ABOUT_STUDY = ("study_started", "trial_started")
"""The events of the whole study that an explanation needs, beside those of its trial."""

_ENDS = {
    "trial_paused": "paused",
    "trial_lost": "lost",
    "trial_interrupted": "interrupted",
    "trial_finished": "finished",
}


@dataclass
class Stretch:
    """Epochs `first` to `last`, decided alike: `decision` with `reason`, by `metric`, `scheduler` or `budget`.

    `value` is the study's metric at the last of them. `repeated`: they had been reported before an attempt was lost,
    and were not judged again.
    """

    first: int
    last: int
    decision: str
    reason: str
    by: str
    value: float | None
    repeated: bool = False

    def continues(self, event: Event) -> bool:
        """Whether a report goes on like this one: plain permissions to continue need not be listed one by one."""
        data = event.data
        plain = data["decision"] == self.decision == "continue" and not (
            data["reason"] or self.reason
        )
        return plain and data.get("repeated", False) == self.repeated and data["step"] > self.last


@dataclass
class Attempt:
    """One run of the trial, from after epoch `start` until `ending`; both say None while it is not known.

    What was measured is as in `hpo_core.trial.Outcome`.
    """

    number: int
    origin: str
    reason: str
    start: int
    began: float
    stretches: list[Stretch] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ending: str | None = None
    ending_reason: str = ""
    ended: float | None = None
    peak_memory: int | None = None
    peak_gpu_memory: int | None = None
    gpu_utilization: float | None = None
    out_of_memory: bool = False


@dataclass(frozen=True)
class Origin:
    """Where the parameters came from.

    `kind` is `new` (from the sampler, on seeing `learned_from` results, at the epoch `fidelity` if that is a number),
    `enqueued` or `cloned` (from `parent` after its epoch `parent_step`).
    """

    kind: str
    sampler: str
    trial_scheduler: str
    reason: str
    learned_from: int | None
    fidelity: int | None
    parent: int | None
    parent_step: int | None


@dataclass(frozen=True)
class Kept:
    """A checkpoint, and whether it is still on the disk; None: it lies in a store, which is not asked."""

    attempt: int
    step: int
    path: str
    sha256: str
    exists: bool | None


@dataclass(frozen=True)
class Child:
    """A trial that was cloned from this one, after its epoch `step`."""

    trial: int
    step: int
    reason: str


@dataclass(frozen=True)
class Explanation:
    """Everything that its events say of a trial. `state` is as in `hpo trials`."""

    trial: int
    state: str
    value: float | None
    reason: str
    metric: str
    epochs: int | None
    params: dict[str, Any]
    origin: Origin
    attempts: list[Attempt]
    checkpoints: list[Kept]
    clones: list[Child]
    late: int

    def to_json(self) -> dict[str, Any]:
        """The document of `hpo why --json`."""
        return asdict(self)


def explain(study: Iterable[Event], own: Sequence[Event]) -> Explanation:
    """The explanation of a trial from its own events (at least its start) and those ABOUT_STUDY, in order."""
    first = next(event for event in own if event.kind == "trial_started")
    about: dict[str, Any] = {}
    clones = []
    for event in study:
        if event.kind == "study_started" and event.seq < first.seq:
            about = event.data
        elif event.kind == "trial_started" and event.data.get("parent") == first.trial:
            data = event.data
            if event.trial is not None and data["origin"] == "cloned":
                clones.append(Child(event.trial, data["parent_step"], data.get("reason", "")))
    attempts = _attempts(own)
    finished = next((event.data for event in own if event.kind == "trial_finished"), None)
    return Explanation(
        trial=first.trial or 0,
        state=finished["state"] if finished else "paused" if attempts[-1].ending else "running",
        value=finished["value"] if finished else None,
        reason=finished["reason"] if finished else "",
        metric=about["metric"],
        epochs=first.data["epochs"],
        params=first.data["params"],
        origin=_origin(about, first.data),
        attempts=attempts,
        checkpoints=_checkpoints(own),
        clones=clones,
        late=sum(event.kind == "late" for event in own),
    )


def _origin(about: dict[str, Any], data: dict[str, Any]) -> Origin:
    return Origin(
        kind=data["origin"],
        sampler=about["sampler"],
        trial_scheduler=about["trial_scheduler"],
        reason=data.get("reason", ""),
        learned_from=data.get("learned_from"),
        fidelity=data.get("fidelity"),
        parent=data.get("parent"),
        parent_step=data.get("parent_step"),
    )


def _attempts(own: Sequence[Event]) -> list[Attempt]:
    found: list[Attempt] = []
    saved: list[int] = []  # the epochs that a next attempt may go on after
    for event in own:
        data = event.data
        if event.kind == "trial_started":
            if "parent_step" in data:
                saved = [data["parent_step"]]
            start = max(saved, default=0)
            reason = data.get("reason", "")
            found.append(Attempt(data["attempt"], data["origin"], reason, start, event.time))
        elif event.kind == "warning":
            found[-1].warnings.append(data["reason"])
        elif event.kind == "report":
            _report(found[-1], event, saved)
        elif event.kind in _ENDS:
            _end(found[-1], event)
    return found


def _report(attempt: Attempt, event: Event, saved: list[int]) -> None:
    data = event.data
    step = data["step"]
    if not attempt.stretches:  # a damaged checkpoint made it go back further than was meant
        attempt.start = max((each for each in saved if each < step), default=0)
    if "checkpoint" in data:
        saved.append(step)
        attempt.saved.append(step)
    last = attempt.stretches[-1] if attempt.stretches else None
    if last is not None and last.continues(event):
        last.last, last.value = step, data["value"]
        return
    said = (data["decision"], data["reason"], data["by"], data["value"])
    attempt.stretches.append(Stretch(step, step, *said, data.get("repeated", False)))


def _end(attempt: Attempt, event: Event) -> None:
    """How an attempt ended; a trial may also be finished while it waits, which ends no attempt."""
    if attempt.ending is not None:
        return
    attempt.ending = event.data.get("ending", _ENDS[event.kind])
    attempt.ending_reason, attempt.ended = event.data["reason"], event.time
    attempt.peak_memory = event.data.get("peak_memory")
    attempt.peak_gpu_memory = event.data.get("peak_gpu_memory")
    attempt.gpu_utilization = event.data.get("gpu_utilization")
    attempt.out_of_memory = event.data.get("out_of_memory", False)


def _checkpoints(own: Iterable[Event]) -> list[Kept]:
    """Every checkpoint by its path: a repeated epoch of one attempt is saved in the same place."""
    found = {}
    for event in own:
        if event.kind == "report" and "checkpoint" in event.data:
            data = event.data["checkpoint"]
            place = data["path"]  # references in it are not resolved here
            exists = None if "://" in place or "${" in place else Path(place).is_dir()
            found[data["path"]] = Kept(
                event.data["attempt"], data["step"], data["path"], data["sha256"], exists
            )
    return list(found.values())
