"""`hpo reproduce`: does a model come out again from what was recorded of it?"""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.wording import clean, number
from hpo_core.trial import Report, json_safe

if TYPE_CHECKING:
    from hpo_core.reproduction import Number, Reproduction


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
    from hpo_core.reproduction import reproduce as train_again

    startup.allow_pydantic_plugins()
    version = Registry.open(storage).get(model)
    code_path = [str(Path.cwd())] if allow_code else None
    steps = version.provenance.get("steps", 0)

    def told(report: Report) -> None:
        value = report.metrics[version.metric]
        line = f"epoch {report.step}/{steps}  {version.metric} {number(value)}"
        print(clean(line), file=sys.stderr, flush=True)

    done = train_again(version, code_path, exact=exact, told=told)
    if json:
        print(json_module.dumps(json_safe(done.to_json())))
    else:
        for line in _lines(done):
            print(clean(line))
    raise typer.Exit(0 if done.accepted else 1)


def _lines(done: Reproduction) -> list[str]:
    word = "reproduced" if done.accepted else "NOT reproduced"
    numbers = [_compared(each) for each in (done.metric, *done.tested)]
    same = "same" if done.same_weights else "others"
    lines = [f"{done.version} {word}: {done.reason}", *numbers]
    lines.append(f"  weights {same} (sha256 {done.weights[0][:12]}, now {done.weights[1][:12]})")
    for what, recorded, now in done.differences:
        lines.append(f"  differs {what}: {_said(recorded)}, now {_said(now)}")
    return [*lines, f"results   {done.directory}"]


def _compared(each: Number) -> str:
    if each.again is None or each.recorded is None:
        return f"  {each.name} {number(each.recorded)}, now not measured"
    if each.same:
        return f"  {each.name} {number(each.recorded)}, the same again"
    change = each.again - each.recorded
    return f"  {each.name} {number(each.recorded)}, now {number(each.again)} ({change:+.3g})"


def _said(value: Any) -> str:
    return "-" if value is None else str(value)
