"""`hpo models`: the model registry. Here versions are listed, shown and registered.

What changes beside them is in `models_changes`, their files are in `models_files`, what is made of them in
`models_reports`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli import models_changes, models_files, models_reports
from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.models_arguments import Reference, clock, opened, pairs, print_json
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import clean, number

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
    _print("config", version.options)
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
    code_path = [str(Path.cwd())] if allow_code else None
    version = registry.register(study, trial, name=name, tags=pairs(tag or ()), code_path=code_path)
    for said in shortcomings(version):
        print(f"warning: {clean(said)}", file=sys.stderr)
    if json:
        return print_json(registry.listed(version.label).to_json())
    print(f"{version.label}: trial {version.trial} of study {version.study}, {version.folder}")


models_changes.add_to(app)
models_files.add_to(app)
models_reports.add_to(app)
