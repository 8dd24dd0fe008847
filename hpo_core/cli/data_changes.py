"""The commands of `hpo data` that make versions, tag them and delete them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.data_arguments import Address, DataReference, Dataset, amount, opened
from hpo_core.cli.models_arguments import print_json
from hpo_core.cli.wording import clean
from hpo_core.errors import UsageError


def add_to(app: typer.Typer) -> None:
    """Make these commands part of a group."""
    for function in (register, tag, untag, delete):
        app.command()(function)


def register(
    name: Dataset,
    url: Address,
    parent: Annotated[
        str | None,
        typer.Option(metavar="NAME@REF", help="What it was made from; else the version before."),
    ] = None,
    made: Annotated[str, typer.Option(metavar="TEXT", help="How it was made, for people.")] = "",
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="How it was made, as YAML or JSON, which is kept."),
    ] = None,
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="Tag it.")] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where its manifest goes; else beside the database."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every file, also those that seem unchanged.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Make the files in a folder, or behind a URL, the next version of a dataset."""
    datasets = opened(storage, new=True)
    steps = None if recipe is None else _mapping(recipe)
    done = datasets.create(
        name, url, parent=parent, made=made, recipe=steps, store=store, full=full
    )
    version = done.version
    if tag is not None:
        datasets.tag(version.label, tag)
    if json:
        counts = {"new": done.new, "read": done.read}
        return print_json(version.to_json() | counts)
    what = "" if done.new else " already"
    print(
        f"{version.label}{what}: {version.files} files, {amount(version.size)}, root {version.root[:12]}; "
        f"{done.read} of them read"
    )


def tag(
    reference: DataReference,
    word: Annotated[str, typer.Argument(metavar="TAG", help="The tag.", show_default=False)],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Give a tag to a version; one version of a dataset has it at a time."""
    version, before = opened(storage).tag(reference, word)
    moved = "" if before is None else f"; {version.name}@{before} had it before"
    print(f"{version.label} is {version.name}@{word} now{moved}")


def untag(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@TAG", help="The tag.", show_default=False)
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Take a tag off the version that has it."""
    name, _, word = reference.partition("@")
    if not word:
        raise UsageError(f"'{reference}' names no tag: write NAME@TAG")
    print(f"{name}@{opened(storage).untag(name, word)} is no longer {name}@{word}")


def delete(
    reference: DataReference,
    force: Annotated[
        bool, typer.Option("--force", help="Although it is tagged or was used.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Forget a version, but for its lineage and what used it. Its number is never given again, no file is removed."""
    version = opened(storage).delete(reference, force=force)
    print(f"{version.label} is deleted; its files, its manifest and copies stay where they are")


def _mapping(path: Path) -> Mapping[str, Any]:
    """What a file of YAML or JSON holds."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {clean(error)}") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise UsageError(f"{path} holds no mapping of names to values")
    return found
