"""The commands of `hpo models` that move aliases and set tags. Versions themselves never change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.models_arguments import Reference, note_doubts, opened, pairs, print_json
from hpo_core.errors import UsageError

if TYPE_CHECKING:
    from hpo_core.registry.stages import Promotion


def add_to(app: typer.Typer) -> None:
    """Make these commands part of a group."""
    for function in (promote, archive, unalias, tag, untag):
        app.command()(function)


def promote(
    reference: Reference,
    alias: Annotated[
        str,
        typer.Argument(
            metavar="ALIAS",
            help="development, staging, production, archived or a word of your own.",
            show_default=False,
        ),
    ],
    archive: Annotated[
        bool,
        typer.Option(
            "--archive/--no-archive", help="Archive the version that was in the stage before."
        ),
    ] = True,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Give a version an alias or a stage."""
    _tell(opened(storage).promote(reference, alias, archive=archive), json)


def archive(reference: Reference, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """Take a version out of its stage, and mark it as archived."""
    _tell(opened(storage).archive(reference), json)


def _tell(done: Promotion, json: bool) -> None:
    label, name = done.version.label, done.version.name
    note_doubts(label, done.doubts)
    if json:
        return print_json(
            {
                "model": label,
                "alias": done.alias,
                "changed": done.changed,
                "previous": None if done.previous is None else f"{name}@{done.previous}",
                "previous_archived": done.archived,
                "left": done.left,
                "doubts": done.doubts,
            }
        )
    if not done.changed:
        return print(f"{label} is {done.alias} already")
    left = f", and no longer {done.left}" if done.left else ""
    print(f"{label} is {done.alias} now{left}")
    if done.previous is not None:
        fate = "archived" if done.archived else f"no longer {done.alias}"
        print(f"{name}@{done.previous}, which was {done.alias} before, is {fate}")


def unalias(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@ALIAS", help="The alias.", show_default=False)
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Take an alias away from the version that has it."""
    name, _, alias = reference.partition("@")
    if not alias:
        raise UsageError(f"'{reference}' names no alias: write NAME@ALIAS")
    print(f"{name}@{opened(storage).unalias(name, alias)} is no longer {alias}")


def tag(
    reference: Reference,
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE ...",
            help="Tags; `description` is what a model card begins with.",
            show_default=False,
        ),
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Set tags of a version."""
    tags = pairs(values)
    print(f"{opened(storage).tag(reference, tags).label}: {', '.join(tags)}")


def untag(
    reference: Reference,
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY ...", help="Their keys.", show_default=False)
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Take tags off a version."""
    print(f"{opened(storage).untag(reference, keys).label}: without {', '.join(keys)}")
