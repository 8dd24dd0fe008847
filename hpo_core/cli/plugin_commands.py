"""The commands that plugins register, looked for when a command is none of `hpo`'s own.

The help names them too, and so resolves them: what is slow to import belongs into the bodies of a command's functions.
A command that cannot be used says why in its line of the help, and harms no other one.
"""

from __future__ import annotations

import functools
from typing import Any

import typer

from hpo_core.catalog import Catalog, UnknownNameError
from hpo_core.errors import PluginError

KIND = "commands"


@functools.cache
def _catalog() -> Catalog:
    from hpo_core import plugins

    return plugins.load_enabled()[0]


def names() -> list[str]:
    """The names of all commands that plugins offer, sorted."""
    return _catalog().names(KIND)


def words_of(group: str) -> list[str]:
    """The words that plugins add to a group of commands, sorted: `describe`, registered as `models describe`."""
    return [name.removeprefix(f"{group} ") for name in names() if name.startswith(f"{group} ")]


def found(name: str) -> Any:
    """The function or group of commands that a plugin registered under `name`.

    Raises KeyError when nobody offers it, and PluginError when who does cannot be told or used: two do, its module does
    not import, or a plugin that did not load may be the one.
    """
    try:
        return _catalog().entry(KIND, name).factory
    except UnknownNameError as error:
        if error.broken and not error.suggestion:
            raise
        raise KeyError(name) from None


def help_line(name: str) -> str:
    """One line about a command: the first of its docstring, or why it cannot be used."""
    try:
        command = found(name)
    except PluginError as error:
        return f"BROKEN: {' '.join(str(error).split())}"
    text = command.info.help if isinstance(command, typer.Typer) else command.__doc__
    lines = text.strip().splitlines() if isinstance(text, str) else []
    return lines[0] if lines else ""
