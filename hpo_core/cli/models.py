"""`hpo models`: the model registry. Here versions are listed, shown and registered.

What changes beside them is in `models_changes`, their files are in `models_files`, what is made of them in
`models_reports`, and what `show` says in `models_described`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo_core.cli import models_changes, models_files, models_reports
from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.models_arguments import Reference, clock, note_doubts, opened, pairs, print_json
from hpo_core.cli.tables import aligned, print_table, terminal_width
from hpo_core.cli.wording import NOTHING, clean, number

if TYPE_CHECKING:
    from hpo_core.registry.listing import Listed

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Model versions: the best checkpoints of studies.",
)

HEAD = tuple("model version aliases value test gates study trial created metric".split())
NEEDED = 6
"""So many of these columns are shown on the narrowest terminal."""


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
    """Every model version: how good it is, whether its gates are passed, where it came from."""
    found = opened(storage).find(name, study=study, alias=alias, tags=pairs(tag or ()), where=where)
    if json:
        return print_json([each.to_json() for each in found])
    print_table(*_fitting([_row(each) for each in found]))


def _row(listed: Listed) -> tuple[str, ...]:
    version = listed.version
    return (
        version.name,
        str(version.version),
        ", ".join(listed.words) or NOTHING,
        number(version.value),
        _test(listed),
        listed.gates or NOTHING,
        version.study,
        str(version.trial),
        clock(version.created).split()[0],
        version.metric,
    )


def _test(listed: Listed) -> str:
    """What was measured, by its name where that is not the metric's own."""
    found = listed.test
    if found is None:
        return NOTHING
    same = found.name == listed.version.metric.removeprefix("val_")
    return number(found.value) if same else f"{found.name}={number(found.value)}"


def _fitting(rows: list[tuple[str, ...]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The head and the rows, on a narrow terminal without the last columns, which are then named on stderr."""
    width, many = terminal_width(), len(HEAD)
    while width and many > NEEDED and _width([row[:many] for row in (HEAD, *rows)]) > width:
        many -= 1
    if many < len(HEAD):
        print(f"no room for {', '.join(HEAD[many:])}: see --json", file=sys.stderr)
    return HEAD[:many], [row[:many] for row in rows]


def _width(rows: list[tuple[str, ...]]) -> int:
    return max(map(len, aligned(rows)))


@app.command()
def show(reference: Reference, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """What is known of a version: how it was measured and made. Its files are not read."""
    from hpo_core.cli.models_described import described

    listed = opened(storage).listed(reference)
    if json:
        its = {key: getattr(listed.version, key) for key in ("provenance", "evaluation")}
        return print_json(listed.to_json() | its)
    for line in described(listed, terminal_width()):
        print(line)


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
    from hpo_core.registry import gates

    registry = opened(storage)
    code_path = [str(Path.cwd())] if allow_code else None
    tags = pairs(tag or ())
    made = registry.register(study, trial, name=name, tags=tags, code_path=code_path)
    version, doubts = made.version, list(gates.doubts(made.version))
    if made.new:  # of another, this was said when it was measured
        for said in shortcomings(version):
            print(f"warning: {clean(said)}", file=sys.stderr)
        note_doubts(version.label, doubts)
    if json:
        about = {"new": made.new, "doubts": doubts}
        return print_json(registry.listed(version.label).to_json() | about)
    verb = ":" if made.new else " already is"
    tagged = "" if made.new or not tags else f"; it has the tags now: {', '.join(tags)}"
    origin = f"trial {version.trial} of study {version.study}, {version.folder}"
    print(f"{version.label}{verb} {origin}{tagged}")


models_changes.add_to(app)
models_files.add_to(app)
models_reports.add_to(app)
