"""The words that the plugin adds to `hpo data`, as a group of their own for the tests."""

from __future__ import annotations

import typer
from hpo_vision.inspection.commands import materialize, stats, verify

app = typer.Typer()
for function in (stats, verify, materialize):
    app.command()(function)
