"""`hpo validate` and `hpo run`."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from hpo_core.cli.arguments import Json
from hpo_core.errors import StudyFileError
from hpo_core.facade.study import Study

File = Annotated[Path, typer.Argument(metavar="FILE", help="The study file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[key=value ...]", help="Values instead of the file's: objective.epochs=3"
    ),
]


def validate(file: File, overrides: Overrides = None) -> None:
    """Check a study file, every problem at once. Imports no torch and needs no network."""
    try:
        spec, _ = Study.load(file, *overrides or []).check()
    except StudyFileError as error:
        print(error, file=sys.stderr)
        number = len(error.problems)
        print(f"{number} problem{'s' if number > 1 else ''}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    searched = len(spec.space.parameters())
    print(
        f"{file}: study '{spec.study}' is fine ({searched} parameters are searched)",
        file=sys.stderr,
    )


def run(
    context: typer.Context,
    file: File,
    overrides: Overrides = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials at once: short for executor.workers=N.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Short for storage=URL.")
    ] = None,
    more: Annotated[
        int, typer.Option(min=0, metavar="N", help="Add N trials to the study's budget for good.")
    ] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Set the study aside as NAME.1 and start anew.")
    ] = False,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="Continue although ranges or choices in the file have changed since the last run.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run, with sample parameters.")
    ] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let the study import code that it names.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a study, or continue it to the same total."""
    given = list(overrides or [])
    if workers is not None:
        given.append(f"executor.workers={workers}")
    study = Study.load(file, *given)
    if storage is not None:
        study = study.storage(storage)
    if dry_run:
        from hpo_core.cli.preview import preview

        return preview(*study.check(), json=json)
    from hpo_core.cli import startup, view

    study.check()  # before a view takes the terminal
    startup.allow_pydantic_plugins()
    shown = view.choose(json=json, command=again(sys.argv))
    with redirect_stdout(sys.stderr), shown:  # what a plugin prints is no data
        result = study.monitor(shown.on_event).run(
            more=more,
            fresh=fresh,
            allow_code=allow_code,
            accept_changes=accept_changes,
            on_interrupt=_say_stopping,
            on_outage=lambda sentence: _say(f"\n{sentence}\n"),
        )
    raise typer.Exit(result.exit_code)


def _say_stopping(signal_name: str) -> None:
    how = "Ctrl-C again" if signal_name == "SIGINT" else f"{signal_name} again"
    _say(f"\nstopping after the running epochs ({how} to stop now)\n")


def _say(text: str) -> None:
    """Write to the terminal at once, whatever the view is doing."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except RuntimeError:  # the signal came while this very stream was being written
        os.write(2, text.encode())


def again(words: list[str]) -> str:
    """The command that continues what `words` started: the same one, without what must happen once."""
    kept: list[str] = []
    skip = False
    for word in ["hpo", *words[1:]]:
        if skip:
            skip = False
        elif word == "--more":
            skip = True
        elif word not in ("--fresh", "--accept-changes") and not word.startswith("--more="):
            kept.append(word)
    return shlex.join(kept)
