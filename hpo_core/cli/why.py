"""`hpo why`: what made a trial what it is, in words for somebody who has not read how the engine works."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.reading import Name, print_json
from hpo_core.cli.tables import terminal_width, wrapped
from hpo_core.cli.wording import clean, count, number, span, used
from hpo_core.errors import UsageError
from hpo_core.explanation import ABOUT_STUDY, Attempt, Explanation, Kept, Origin, Stretch, explain

_DECIDERS = {"budget": "the budget", "metric": "the engine"}

_ENDINGS = {
    "completed": "ended by itself: it is complete",
    "stopped": "ended because it was stopped for good",
    "failed": "failed",
    "paused": "ended because it was paused",
    "lost": "was lost",
    "interrupted": "was interrupted",
}


def why(
    study: Name,
    trial: Annotated[int, typer.Argument(metavar="N", min=0, help="The trial's number.")],
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Why a trial became what it is: where it came from, each decision with its reason, what was kept."""
    from hpo_core.storage import database, reading, studies

    engine = database.open_existing(storage)
    record = studies.called(engine, study)
    own = reading.events(engine, record, trial)
    if not any(event.kind == "trial_started" for event in own):
        raise UsageError(f"study '{study}' has started no trial {trial}: see hpo trials {study}")
    told = explain(reading.events(engine, record, kinds=ABOUT_STUDY), own)
    if json:
        return print_json({"study": study} | told.to_json())
    width = terminal_width()
    for line in lines(study, told):
        print("\n".join(wrapped(line, width)))


def lines(study: str, told: Explanation) -> Iterator[str]:
    """The explanation, from the trial's birth to what is left of it; two spaces of indent per level."""
    yield f"trial {told.trial} of study {clean(study)}: {clean(_state(told))}"
    yield ""
    yield "where it came from"
    yield f"  {_origin(told.origin)}"
    for name, value in told.params.items():
        yield f"    {clean(name)} = {clean(value)}"
    for attempt in told.attempts:
        yield ""
        yield from _attempt(told, attempt)
    yield from _outcome(told)


def _state(told: Explanation) -> str:
    value = "" if told.value is None else f", {told.metric} {number(told.value)}"
    waits = {"running": "it runs, or its driver was killed", "paused": "it waits to go on"}
    return waits.get(told.state, f"{told.state}{value}")


def _origin(origin: Origin) -> str:
    because = f": {clean(origin.reason)}" if origin.reason else ""
    if origin.kind == "cloned":
        return (
            f"the trial scheduler '{origin.trial_scheduler}' cloned it from trial {origin.parent} as that was after "
            f"epoch {origin.parent_step}{because}"
        )
    if origin.kind == "enqueued":
        whose = "when the study began" if origin.reason else "somebody enqueued it through Optuna"
        return f"{whose}{because}"
    return f"the sampler '{origin.sampler}' proposed it, having seen {_evidence(origin)}"


def _evidence(origin: Origin) -> str:
    if not origin.learned_from:
        return "no results yet"
    results = count(origin.learned_from, "result")
    if origin.fidelity is None:
        return f"{results} (of each trial the best value)"
    return f"{results} (the values at epoch {origin.fidelity} of the trials that got there)"


def _attempt(told: Explanation, attempt: Attempt) -> Iterator[str]:
    yield f"attempt {attempt.number}: {_start(attempt)}"
    for warning in attempt.warnings:
        yield f"  warning: {clean(warning)}"
    for stretch in attempt.stretches:
        yield f"  {_stretch(told, stretch)}"
    if attempt.saved:
        yield f"  saved a checkpoint after {_epochs(attempt.saved)}"
    yield f"  {_end(attempt)}"


def _start(attempt: Attempt) -> str:
    whence = (
        f"goes on after epoch {attempt.start}" if attempt.start else "begins with the first epoch"
    )
    because = f" ({clean(attempt.reason)})" if attempt.reason else ""
    match attempt.origin:
        case "resumed":
            return f"resumed by the trial scheduler{because}; it {whence}"
        case "retried":
            return f"run again; it {whence}"
        case _:
            return whence


def _stretch(told: Explanation, stretch: Stretch) -> str:
    epochs = (
        f"epoch {stretch.first}"
        if stretch.first == stretch.last
        else f"epochs {stretch.first}-{stretch.last}"
    )
    at = f"{clean(told.metric)} {number(stretch.value)}"
    if stretch.repeated:
        return f"{epochs}: {at}; done before, so not judged again"
    who = _DECIDERS.get(stretch.by, f"the trial scheduler '{told.origin.trial_scheduler}'")
    said = {
        "continue": "went on" if not stretch.reason else f"{who} let it go on",
        "stop": f"{who} stopped it",
        "pause": f"{who} paused it",
    }[stretch.decision]
    reason = f": {clean(stretch.reason)}" if stretch.reason else ""
    return f"{epochs}: {at}; {said}{reason}"


def _end(attempt: Attempt) -> str:
    if attempt.ending is None:
        return "has not ended"
    if attempt.ending == "interrupted" and not attempt.ending_reason:
        return "was interrupted: the study was stopped, or its driver was killed"
    decided = bool(attempt.stretches) and attempt.stretches[-1].reason == attempt.ending_reason
    reason = "" if decided or not attempt.ending_reason else f": {clean(attempt.ending_reason)}"
    took = ""
    if attempt.ended is not None:
        took = f" ({', '.join([f'after {span(attempt.ended - attempt.began)}', *used(vars(attempt))])})"
    return f"{_ENDINGS[attempt.ending]}{reason}{took}"


def _outcome(told: Explanation) -> Iterator[str]:
    yield ""
    yield "what came of it"
    if told.state in ("running", "paused"):
        yield "  it is not finished"
    else:
        reason = f" ({clean(told.reason)})" if told.reason else ""
        yield f"  {told.state}{reason}, {_value(told)}"
    if told.checkpoints:
        yield from _kept(told.checkpoints)
    for child in told.clones:
        because = f" ({clean(child.reason)})" if child.reason else ""
        yield f"  trial {child.trial} was cloned from it after epoch {child.step}{because}"
    if told.late:
        yield f"  {count(told.late, 'message')} of attempts that had been given up came late and counted for nothing"


def _kept(checkpoints: list[Kept]) -> Iterator[str]:
    saved = f"  {count(len(checkpoints), 'checkpoint')} saved"
    if all(kept.exists is None for kept in checkpoints):
        yield f"{saved}, the last to {clean(checkpoints[-1].path)}"
        return
    left = [kept for kept in checkpoints if kept.exists]
    yield f"{saved}, {len(left)} still on the disk"
    for kept in left:
        yield f"    epoch {kept.step}: {clean(kept.path)}"


def _value(told: Explanation) -> str:
    if told.value is None:
        return "no value"
    return f"value {number(told.value)}: its best {clean(told.metric)}"


def _epochs(steps: list[int]) -> str:
    """`epoch 3`, `epochs 1-4, 6`."""
    runs: list[list[int]] = []
    for step in steps:
        if runs and step == runs[-1][1] + 1:
            runs[-1][1] = step
        else:
            runs.append([step, step])
    said = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"epoch{'' if len(steps) == 1 else 's'} {said}"
