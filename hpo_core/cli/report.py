"""`hpo report`: a study as one HTML file, and its figures as PNG."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Storage
from hpo_core.cli.reading import Name


def report(
    study: Name,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Where to write it. Default: report.html in the study's folder.",
        ),
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="DIR", help="Write its figures there, too.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write a study's report: one HTML file that needs no network, no script and nothing beside it."""
    from hpo_core.report import page
    from hpo_core.storage import database, studies

    engine = database.open_existing(storage)
    record = studies.called(engine, study)
    place = Path(record.directory, "report.html") if output is None else output
    made = page.make(engine, study, pngs=png is not None)
    page.write(made, place, png)
    print(place)
    if png is not None:
        print(f"figures: {', '.join(sorted(made.pngs))} in {png}", file=sys.stderr)
