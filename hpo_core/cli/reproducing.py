"""`hpo reproduce`: does a model come out again from what was recorded of it?"""

from __future__ import annotations

import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.wording import clean, number
from hpo_core.trial import Report, json_safe

if TYPE_CHECKING:
    from hpo_core.reproduction.result import Number, Reproduction


def reproduce(
    model: Annotated[
        str, typer.Argument(metavar="MODEL[@REF]", help="NAME, NAME@3 or NAME@production.")
    ],
    exact: Annotated[
        bool, typer.Option("--exact", help="Only the same weights, bit for bit, will do.")
    ] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let the study import code that it names.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Train a model version again from its record and compare; exit code 1 if it comes out otherwise."""
    from hpo_core.cli import startup
    from hpo_core.registry.registry import Registry
    from hpo_core.reproduction.training import reproduce as train_again

    startup.allow_pydantic_plugins()
    version = Registry.open(storage).get(model)
    code_path = [str(Path.cwd())] if allow_code else None
    steps = version.provenance.get("steps", 0)

    with os.fdopen(os.dup(2), "w") as terminal:  # while it trains, descriptor 2 is the trial's log

        def told(report: Report) -> None:
            value = number(report.metrics[version.metric])
            line = f"epoch {report.step}/{steps}  {clean(version.metric)} {value}"
            print(line, file=terminal, flush=True)

        done = train_again(version, code_path, exact=exact, told=told)
    if json:
        print(json_module.dumps(json_safe(done.to_json())))
    else:
        for line in _lines(done):
            print(line)
    raise typer.Exit(0 if done.accepted else 1)


def _lines(done: Reproduction) -> list[str]:
    word = "reproduced" if done.accepted else "NOT reproduced"
    numbers = [_compared(each) for each in (done.metric, *done.tested)]
    same = "same" if done.same_weights else "others"
    lines = [f"{done.version} {word}: {clean(done.reason)}", *numbers]
    lines.append(f"  weights {same} (sha256 {done.weights[0][:12]}, now {done.weights[1][:12]})")
    for what, recorded, now in done.differences:
        lines.append(f"  differs {clean(what)}: {_said(recorded)}, now {_said(now)}")
    return [*lines, f"results   {done.directory}"]


def _compared(each: Number) -> str:
    recorded = f"  {clean(each.name)} {number(each.recorded)}"
    if each.again is None or each.recorded is None:
        return f"{recorded}, now not measured"
    if each.same:
        return f"{recorded}, the same again"
    return f"{recorded}, now {number(each.again)} ({each.again - each.recorded:+.3g})"


def _said(value: Any) -> str:
    return "-" if value is None else clean(value)
