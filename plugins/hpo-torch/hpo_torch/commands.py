"""`hpo lr-schedulers`: all of them in a list, and the curve of one without a training.

It shows what plugins register, ours or not, and draws by building and stepping the very object that a study would. What
is slow to import stands in the functions' bodies.
"""

from __future__ import annotations

import json as json_module
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hpo_core.commands import OfferedComponent

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="LR schedulers: which there are, what to search, and their curves.",
)

KIND = "lr_schedulers"
ROWS = 12  # of a curve in the terminal
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


@app.command("list")
def list_all(json: Json = False) -> None:
    """Every LR scheduler with all of its names, its formula, and the options that are worth searching."""
    from hpo_core.commands import offered

    found = offered(KIND)
    if json:
        return _print_json([_document(each) for each in found])
    rows = [("names", "searched", "learning rate eta after t of T steps")]
    rows += [
        (", ".join(each.names), ", ".join(each.ranges) or "-", each.description.partition("\n")[0])
        for each in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for names, searched, formula in rows:
        print(f"{names:<{widths[0]}}  {searched:<{widths[1]}}  {formula}")


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="As `hpo lr-schedulers list` says.", show_default=False
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[option=value ...]", help="Options instead of their defaults."),
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", min=1, max=10_000_000, help="T, the steps of the run.")
    ] = 100,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Draw it there too.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Draw the curve of an LR scheduler, with its formula and the ranges to search."""
    from hpo_core.commands import read_component

    component = read_component(KIND, name, overrides or [])
    from hpo_torch.curves import curve_of

    curve = curve_of(component, steps)
    about = _called(name)
    if png is not None:
        from hpo_torch.drawing import save

        save(curve, png)
    if json:
        extra = {"options": component.options, "rates": curve.rates}
        return _print_json(_document(about) | extra | {"average_from": curve.average_from})
    _print_curve(curve, about)


def _called(name: str) -> OfferedComponent:
    """What is offered under a name that has been found, `distribution:name` included."""
    from hpo_core.commands import offered

    return next(each for each in offered(KIND) if name.rpartition(":")[2] in each.names)


def _print_curve(curve: Any, about: OfferedComponent) -> None:
    from hpo_core.commands import flow
    from hpo_torch.drawing import lines

    width = min(shutil.get_terminal_size().columns, 100)
    print(f"{', '.join(about.names)}  (plugin {about.plugin})\n")
    for line in about.description.splitlines():
        print(textwrap.fill(line, width) if len(line) > width else line)
    print()
    for line in lines(curve, width, ROWS, sys.stdout.encoding):
        print(line)
    print()
    if not about.ranges:
        return print("no range to search is suggested")
    print("to search it, as a whole with `search: true`, or with these ranges:\n")
    print("lr_scheduler:")
    print(f"  name: {curve.name}")
    for option, tree in about.ranges.items():
        print(f"  {option}: {flow(tree)}")


def _document(each: OfferedComponent) -> dict[str, Any]:
    return {
        "names": each.names,
        "plugin": each.plugin,
        "description": each.description,
        "defaults": each.defaults,
        "ranges": each.ranges,
    }


def _print_json(value: Any) -> None:
    print(json_module.dumps(value, indent=2, default=repr))
