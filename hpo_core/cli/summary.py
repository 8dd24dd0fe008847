"""What is said when a run ends: the result first, where things lie, and the next command to type."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from hpo_core.cli.arguments import DEFAULT_STORAGE
from hpo_core.cli.progress import Progress
from hpo_core.cli.wording import about, clean, count, number
from hpo_core.registry.judging import doubts


def header_lines(progress: Progress) -> list[str]:
    """What is said when a run starts: what is searched, how, and where everything is kept."""
    study = progress.about
    parts = [
        f"study {study['study']}",
        f"{study['goal']} {study['metric']}",
        f"sampler {study['sampler']}",
        f"trial scheduler {study['trial_scheduler']}",
        f"executor {study['executor']}",
    ]
    lines = [
        clean(" · ".join(parts)),
        f"results   {clean(study['directory'])}",
        f"storage   {clean(study['storage'])}",
    ]
    if study["continued"]:
        lines.append(_continuing(progress))
    return lines


def _continuing(progress: Progress) -> str:
    done = f"{totals(progress)} are done"
    if progress.target is not None and progress.finished >= progress.target:
        return f"{done}: nothing left to run (--more N adds trials, --fresh starts anew)"
    if progress.epochs >= progress.limits.get("epochs", math.inf):
        return f"{done}: nothing left to run (raise budget.epochs, or --fresh starts anew)"
    return f"{done}, continuing (--fresh starts anew)"


def totals(progress: Progress) -> str:
    """What is done of what there is to do: `3/20 trials`, `12 trials, 40/100 epochs`."""
    trials = (
        count(progress.finished, "trial")
        if progress.target is None
        else f"{progress.finished}/{progress.target} trials"
    )
    limit = progress.limits.get("epochs")
    return trials if limit is None else f"{trials}, {progress.epochs}/{limit} epochs"


def summary_lines(progress: Progress, command: str) -> list[str]:
    """What is said when a run has ended; nothing where no event said that it did.

    `command` is what continues the study: the command line that started it.
    """
    if progress.ended is None:
        return []
    lines = [*_tally(progress), *_best(progress), *_models(progress)]
    lines.append(f"results   {clean(progress.about['directory'])}")
    lines += _next(progress, command)
    return lines


def _tally(progress: Progress) -> Iterator[str]:
    ended = progress.ended
    assert ended is not None  # summary_lines has looked
    word = "done" if ended.kind == "study_finished" else "stopped"
    reason = f" ({clean(ended.data['reason'])})" if ended.data.get("reason") else ""
    took = about(ended.time - progress.started)
    yield (
        f"{word}{reason}: {totals(progress)}"
        f"{tally(progress.counts)}{_waiting(progress)} after {took}"
    )


def _waiting(progress: Progress) -> str:
    return f", {len(progress.waiting)} paused," if progress.waiting else ""


def tally(counts: dict[str, int]) -> str:
    """Counts of finished trials by state, without the zeros: ` (12 complete, 2 pruned)`, or nothing."""
    words = (("complete", "complete"), ("pruned", "pruned"), ("fail", "failed"))
    parts = [f"{counts[state]} {word}" for state, word in words if counts[state]]
    return f" ({', '.join(parts)})" if parts else ""


def _best(progress: Progress) -> Iterator[str]:
    study, leader = progress.about, progress.leader
    if leader is None:
        if progress.ended is not None and progress.ended.kind == "study_finished":
            yield "best      none: no trial completed"
        return
    trial, value = leader
    waiting = progress.waiting.get(trial)
    so_far = "" if waiting is None else ", so far"
    yield f"best      {clean(study['metric'])} {number(value)} (trial {trial}{so_far})"
    params = progress.best_params if waiting is None else waiting.params
    for name, given in (params or {}).items():
        yield f"          {clean(name)} = {clean(given)}"


def _models(progress: Progress) -> Iterator[str]:
    for model in progress.models:
        yield (
            f"model     {clean(model['name'])} version {model['version']} from trial "
            f"{model['trial']} (sha256 {model['sha256'][:12]}), {clean(model['path'])}"
        )
        for said in _tested(model):
            yield f"          {said}"


def _tested(model: Mapping[str, Any]) -> Iterator[str]:
    """How a version does on data that nothing was chosen by, and whether that is what its study asks for."""
    measured = model.get("measured", {})
    if "accuracy" in measured:
        interval = model.get("intervals", {}).get("accuracy")
        between = "" if interval is None else f" ({interval[0]:.4f} to {interval[1]:.4f})"
        yield f"test accuracy {measured['accuracy']:.4f}{between} on {measured['n']} images"
    gates = model.get("gates", ())
    failed = [gate["name"] for gate in gates if not gate["passed"]]
    if failed:
        yield f"gates: {len(failed)} of {len(gates)} failed: {', '.join(failed)}"
    elif gates:
        yield "gates: passed"
    for said in doubts(gates):
        yield f"note: met, but not surely: {clean(said)}"


def _next(progress: Progress, command: str) -> Iterator[str]:
    """The commands to type next; the last line of a study that was stopped is how to continue it."""
    study = progress.about["study"]
    if progress.failures:
        failed = count(len(progress.failures), "trial")
        show = _command(progress, "show", study, str(progress.failures[0]))
        yield f"failed    {failed} in this run, the first: {show}"
    if progress.best_trial is not None:
        yield f"see       {_command(progress, 'best', study)}"
    yield f"inspect   {_command(progress, 'dashboard')}"
    if progress.ended is not None and progress.ended.kind == "study_stopped":
        yield f"continue  {clean(command)}"


def _command(progress: Progress, *words: str) -> str:
    """A command of ours that looks into the study's storage, as a shell takes it."""
    storage = progress.about["storage"]
    option = [] if storage == DEFAULT_STORAGE else ["--storage", storage]
    return clean(shlex.join(["hpo", *words, *option]))
