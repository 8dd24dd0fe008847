"""`hpo models`: the model registry."""

from __future__ import annotations

import json as json_module
import time
from dataclasses import asdict

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import number

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
def list_models(storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """Every model version, with where it came from."""
    from hpo_core.registry import versions
    from hpo_core.storage import database

    found = versions.list_versions(database.open_existing(storage))
    if json:
        print(json_module.dumps([asdict(version) for version in found]))
        return
    print_table(
        ("model", "version", "study", "trial", "metric", "value", "created", "sha256", "path"),
        [
            (
                version.name,
                version.version,
                version.study,
                version.trial,
                version.metric,
                number(version.value),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(version.created)),
                version.sha256[:12],
                version.path,
            )
            for version in found
        ],
    )
