"""`hpo`: the commands, and what becomes of an error.

A command's module is imported when the command is called: `hpo --help` answers from the table below, and `hpo validate`
does not pay for what the dashboard needs. Plugins add commands (`register_commands`), which are looked for only when a
command is none of these.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import hpo_core
from hpo_core.cli import plugin_commands, startup
from hpo_core.concealed import conceal_errors
from hpo_core.errors import HpoError, StudyFileError

HELP = "Search hyperparameters of PyTorch models: `hpo init`, then `hpo run study.yaml`."

COMMANDS = {
    "init": ("writing:init", "Write a commented starter study and its schema."),
    "extract": ("extract:extract", "Make a study file from plain text."),
    "validate": ("running:validate", "Check a study file, every problem at once."),
    "run": ("running:run", "Run a study, or continue it to the same total."),
    "stop": ("stopping:stop", "Stop a study that runs in another shell."),
    "status": ("reading:status", "How far the studies are."),
    "trials": ("reading:trials", "The trials of a study."),
    "show": ("reading:show", "Everything about one trial."),
    "why": ("why:why", "Why a trial became what it is, step by step."),
    "replay": ("replay:replay", "Check that a study's decisions follow from its events."),
    "best": ("reading:best", "The best trial, and the model that it became."),
    "results": ("results:app", "Compare trials, LR schedulers, models, classes."),
    "importance": ("importance:importance", "How much each parameter matters, with intervals."),
    "recommend": ("recommend:recommend", "What to change in a study file, with the evidence."),
    "report": ("report:report", "A study as one HTML file, and its figures as PNG."),
    "plugins": ("catalog_commands:app", "Installed plugins and what they offer."),
    "list": ("catalog_commands:list_kind", "The components of a kind."),
    "schema": ("writing:schema", "Print the JSON Schema of study files."),
    "models": ("models:app", "Model versions: the best checkpoints of studies."),
    "data": ("data:app", "Datasets: versions of their files, statistics, images as files."),
    "reproduce": ("reproducing:reproduce", "Train a model version again and compare."),
    "dashboard": ("dashboard:dashboard", "Look at studies in a web browser."),
    "doctor": ("doctor:doctor", "What to paste into a bug report."),
}
"""Each command, the function or the group of commands behind it in this package, and its line in the help."""

# importing rich for the help would take as long as everything else together
_SETTINGS: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}


class _Commands(MutableMapping[str, Any]):
    """The commands by name, ours and then the plugins', each made when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        found = _ours(name) if name in COMMANDS else plugin_commands.found(name)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False, **_SETTINGS)
            found.command(name.split()[-1])(function)
        command = typer.main.get_command(found)
        command.name = name
        if isinstance(command, TyperGroup):
            for word in plugin_commands.words_of(name):
                if (
                    word not in command.commands
                ):  # ours, and those of who made the group, come first
                    command.add_command(self[f"{name} {word}"], word)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter([*COMMANDS, *_theirs()])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __setitem__(self, name: str, command: Any) -> None:
        raise TypeError("commands are declared in COMMANDS, or registered by plugins")

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are declared in COMMANDS, or registered by plugins")


def _ours(name: str) -> Any:
    """The function or the group of commands behind one of `COMMANDS`."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    return getattr(import_module(f"hpo_core.cli.{module}"), attribute)


def _theirs() -> list[str]:
    """The commands of plugins; one that is called like one of ours is out of reach."""
    return [name for name in plugin_commands.names() if name not in COMMANDS and " " not in name]


class _NobodyReads(Exception):
    """Whoever read standard output has closed it."""


class _Group(TyperGroup):
    """The group of all commands; knows their names and lines of help without importing them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()

    def invoke(self, ctx: Any) -> Any:
        """As typer's, for which it is a failure (exit code 1) when `head` has read enough."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            raise _NobodyReads from None

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        ours = [(name, line) for name, (_, line) in COMMANDS.items()]
        theirs = [(name, plugin_commands.help_line(name)) for name in _theirs()]
        with formatter.section("Commands"):
            formatter.write_dl(ours + theirs)


app = typer.Typer(
    name="hpo",
    cls=_Group,
    help=HELP,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **_SETTINGS,
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
    """Options that stand before the command."""


def main() -> None:
    """The console script. Ends the process with the exit code that README's table gives."""
    conceal_errors()
    sys.exit(_exit_code())


def _exit_code() -> int:
    startup.skip_pydantic_plugins()
    try:
        app(standalone_mode=True)
    except HpoError as error:
        # problems of a study file begin with their place, everything else with the word error
        prefix = "" if isinstance(error, StudyFileError) else "error: "
        print(f"{prefix}{error}", file=sys.stderr)
        if os.environ.get("HPO_TRACEBACK"):
            traceback.print_exc()
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except _NobodyReads:  # `hpo trials x | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0
