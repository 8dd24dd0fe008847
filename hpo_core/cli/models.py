"""`hpo models`: the model registry. What changes it is in `models_changes`, what is made of it in `models_reports`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli import models_changes, models_reports
from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.models_arguments import Reference, clock, opened, pairs, print_json
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import clean, number
from hpo_core.errors import StoreError, UsageError

if TYPE_CHECKING:
    from hpo_core.registry.listing import Listed

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Model versions: the best checkpoints of studies.",
)


@app.callback()
def models() -> None:
    """Model versions: the best checkpoints of studies."""


@app.command("list")
def list_models(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Only this model's.", show_default=False),
    ] = None,
    study: Annotated[str | None, typer.Option(help="Only of this study.")] = None,
    alias: Annotated[
        str | None, typer.Option(help="Only with this alias or stage, archived or latest.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only with this tag; repeatable.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="CONDITION", help="val_accuracy > .9 and optimizer.lr < 0.1"),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Every model version, with where it came from."""
    found = opened(storage).find(name, study=study, alias=alias, tags=pairs(tag or ()), where=where)
    if json:
        return print_json([each.to_json() for each in found])
    head = "model version stage aliases study trial metric value created sha256 path"
    print_table(head.split(), [_row(each) for each in found])


def _row(listed: Listed) -> tuple[Any, ...]:
    version = listed.version
    others = ", ".join(alias for alias in listed.aliases if alias != listed.stage)
    return (
        version.name,
        version.version,
        listed.stage,
        others or None,
        version.study,
        version.trial,
        version.metric,
        number(version.value),
        clock(version.created),
        version.sha256[:12],
        version.path,
    )


@app.command()
def show(reference: Reference, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """Everything that is known of a version. Its files are not read."""
    from hpo_core.results.trials import flat

    listed = opened(storage).listed(reference)
    if json:
        its = {key: getattr(listed.version, key) for key in ("provenance", "evaluation")}
        return print_json(listed.to_json() | its)
    version = listed.version
    print(version.label)
    for name in ("stage", "aliases", "tags"):
        _print(name, getattr(listed, name))
    for name in ("study", "trial", "metric", "value", "metrics", "params", "git_commit", "path"):
        _print(name, getattr(version, name))
    _print("created", clock(version.created))
    _print("config", dict(flat(version.config)))
    _print("versions", version.versions)
    for name in ("evaluation", "provenance"):
        _print(name, sorted(getattr(version, name) or ()))
    for name, about in version.files.items():
        _print(f"file {name}", f"{about['size'] or '?'} bytes, sha256 {about['sha256']}")


def _print(name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        value = ", ".join(f"{key} {each}" for key, each in value.items())
    elif isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    print(f"  {name}: {clean(value) if value not in (None, '') else '-'}")


@app.command()
def path(reference: Reference, storage: Storage = DEFAULT_STORAGE) -> None:
    """The folder of a version's files, which are checked first."""
    print(opened(storage).verified(reference).folder)


@app.command()
def verify(
    references: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME@REF ...]", help="Which versions.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every version of every model.")] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Compare every file of versions with the sha256 that it was registered with."""
    if every == bool(references):
        raise UsageError("name versions as NAME@REF, or all of them with --all")
    registry = opened(storage)
    named = [registry.get(reference) for reference in references or ()]
    versions = named or [each.version for each in registry.find()]
    harm = {version.label: registry.damage(version) for version in versions}
    if json:
        print_json([{"model": label, "damage": said} for label, said in harm.items()])
    else:
        for version in versions:
            good = f"{len(version.files)} files are as they were registered"
            print(f"{version.label}: {'DAMAGED' if harm[version.label] else good}")
    damaged = [said for every_said in harm.values() for said in every_said]
    for said in damaged[:-1]:
        print(f"error: {said}", file=sys.stderr)
    if damaged:
        raise StoreError(damaged[-1])


@app.command()
def register(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study.", show_default=False)],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="The model's name.")],
    trial: Annotated[
        int | None,
        typer.Argument(metavar="[TRIAL]", min=0, help="Its number. Default: the best one."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Tag it; repeatable.")
    ] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let the study import code that it names.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Make the checkpoint of any finished trial a model version, after it was measured on the test part."""
    from hpo_core.registration import shortcomings

    registry = opened(storage)
    tags = pairs(tag or ())
    code_path = [str(Path.cwd())] if allow_code else None
    version = registry.register(study, trial, name=name, code_path=code_path)
    for said in shortcomings(version):
        print(f"warning: {clean(said)}", file=sys.stderr)
    if tags:
        registry.tag(version.label, tags)
    if json:
        return print_json(registry.listed(version.label).to_json())
    print(f"{version.label}: trial {version.trial} of study {version.study}, {version.folder}")


models_changes.add_to(app)
models_reports.add_to(app)
