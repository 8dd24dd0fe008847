"""The commands of `hpo data` that copy files into a store, and make folders of the copies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.data_arguments import DataReference, amount, opened
from hpo_core.cli.models_arguments import print_json


def add_to(app: typer.Typer) -> None:
    """Make these commands part of a group."""
    for function in (snapshot, restore):
        app.command()(function)


def snapshot(
    reference: DataReference,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="URL", help="The store; else that of its manifest."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Copy the files of a version into a store, each content once."""
    datasets = opened(storage)
    version = datasets.get(reference)
    done = datasets.snapshot(version.label, to)
    if json:
        counts = {"files": done.files, "copied": done.copied, "size": done.size}
        return print_json({"version": version.label} | counts)
    there = datasets.snapshots(version.label)[0]
    print(
        f"{version.label}: {done.copied} of {done.files} files copied, {amount(done.size)}, {there}"
    )


def restore(
    reference: DataReference,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)
    ],
    store: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="The store; else that of the last copy."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Make a folder of the copies of a version's files, whole or not at all."""
    print(f"{folder}: {opened(storage).restore(reference, folder, store)} files")
