"""The commands of `hpo models` that look at the files of versions, or remove them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.models_arguments import Reference, opened, print_json
from hpo_core.cli.wording import clean, count, size
from hpo_core.errors import StoreError, UsageError

if TYPE_CHECKING:
    from hpo_core.registry.deletion import Deletion
    from hpo_core.registry.model_version import ModelVersion
    from hpo_core.registry.registry import Registry


def add_to(app: typer.Typer) -> None:
    """Make these commands part of a group."""
    for function in (path, verify, delete):
        app.command()(function)


def path(reference: Reference, storage: Storage = DEFAULT_STORAGE) -> None:
    """The folder of a version's files, which are checked first."""
    print(opened(storage).verified(reference).folder)


def verify(
    references: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME@REF ...]", help="Which versions.", show_default=False),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every version of every model, and name the folders that are no version's.",
        ),
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Compare every file of versions with the sha256 that it was registered with."""
    if every == bool(references):
        raise UsageError("name versions as NAME@REF, or all of them with --all")
    registry = opened(storage)
    versions = [registry.get(reference) for reference in references or ()]
    if every:
        versions = [each.version for each in registry.find()]
    harm = {version.label: registry.damage(version) for version in versions}
    strays = registry.strays() if every else []
    if json:
        said: list[dict[str, Any]] = [
            {"model": label, "damage": damage} for label, damage in harm.items()
        ]
        nobodys: dict[str, Any] = {"model": None, "damage": []}
        said += [nobodys | {"stray": str(stray.folder), "why": stray.why} for stray in strays]
        print_json(said)
    else:
        _print_checked(registry, versions, harm, every)
    for stray in strays:
        print(f"warning: {clean(stray.folder)} is no version's: {stray.why}", file=sys.stderr)
    _raise_first(harm)


def _print_checked(
    registry: Registry, versions: list[ModelVersion], harm: dict[str, list[str]], every: bool
) -> None:
    for version in versions:
        good = f"{count(len(version.files), 'file')} are as they were registered"
        print(f"{version.label}: {'DAMAGED' if harm[version.label] else good}")
    for tombstone in registry.deleted() if every else ():
        print(clean(tombstone))


def _raise_first(harm: dict[str, list[str]]) -> None:
    """Say all that is damaged, the last of it as the error that the command ends with."""
    damaged = [said for every_said in harm.values() for said in every_said]
    for said in damaged[:-1]:
        print(f"error: {said}", file=sys.stderr)
    if damaged:
        raise StoreError(damaged[-1])


def delete(
    reference: Annotated[
        str,
        typer.Argument(metavar="NAME@NUMBER", help="A version by its number.", show_default=False),
    ],
    every: Annotated[
        bool, typer.Option("--all", help="Every version of the model NAME instead.")
    ] = False,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; kept with its number and sha256.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Delete a version with its files; its number, its sha256 and the reason stay, and no other gets the number.

    One that an alias points to is refused; archived ones are not.
    """
    registry = opened(storage)
    if not yes:
        _ask(registry, reference, every)
    if every:
        done = registry.delete_model(reference, reason)
    else:
        done = [registry.delete(reference, reason)]
    if json:
        return print_json([each.tombstone.to_json() | {"kept": each.kept} for each in done])
    for each in done:
        _tell(each)


def _ask(registry: Registry, reference: str, every: bool) -> None:
    """Raise UsageError unless somebody at a terminal says yes."""
    if not sys.stdin.isatty():
        raise UsageError(f"nobody can be asked whether to delete {reference}: say --yes")
    versions = registry.versions(reference) if every else [registry.get(reference)]
    for version in versions:
        held = sum(about["size"] or 0 for about in version.files.values())
        print(f"{version.label}: trial {version.trial} of study {version.study}", file=sys.stderr)
        print(f"  {size(held)} in {version.folder}", file=sys.stderr)
    if not typer.confirm("Delete this for good?", err=True):
        raise UsageError("nothing was deleted")


def _tell(done: Deletion) -> None:
    print(clean(done.tombstone))
    if done.kept:
        print(f"warning: no files were removed: {clean(done.kept)}", file=sys.stderr)
