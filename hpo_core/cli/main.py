"""`hpo`: the commands, and what becomes of an error."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

import hpo_core
from hpo_core.cli import (
    catalog_commands,
    dashboard,
    doctor,
    models,
    reading,
    running,
    writing,
)
from hpo_core.errors import HpoError

app = typer.Typer(
    name="hpo",
    help="Search hyperparameters of PyTorch models: `hpo init`, then `hpo run study.yaml`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(hpo_core.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search hyperparameters of PyTorch models: `hpo init`, then `hpo run study.yaml`."""


app.command("init")(writing.init)
app.command("validate")(running.validate)
app.command("run")(running.run)
app.command("status")(reading.status)
app.command("trials")(reading.trials)
app.command("show")(reading.show)
app.command("best")(reading.best)
app.add_typer(catalog_commands.app, name="plugins")
app.command("list")(catalog_commands.list_kind)
app.command("schema")(writing.schema)
app.add_typer(models.app, name="models")
app.command("dashboard")(dashboard.dashboard)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """The console script. Ends the process with the exit code that README's table gives."""
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        app(standalone_mode=True)
    except HpoError as error:
        print(f"{_prefix(error)}{error}", file=sys.stderr)
        if os.environ.get("HPO_TRACEBACK"):
            traceback.print_exc()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `hpo trials x | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _prefix(error: HpoError) -> str:
    """Problems of a study file begin with their place; everything else with the word error."""
    from hpo_core.errors import StudyFileError

    return "" if isinstance(error, StudyFileError) else "error: "
