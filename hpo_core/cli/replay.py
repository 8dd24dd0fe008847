"""`hpo replay`: whether everything that a study did follows from what it knew, found out by doing it again."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import asdict

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.reading import Name, print_json
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import count


def replay(study: Name, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """Derive every proposal and decision of a study anew from its events, and say where they differ.

    Exit code 1 if they do.
    """
    from hpo_core import plugins
    from hpo_core.cli import startup
    from hpo_core.replay import replay as derive
    from hpo_core.storage import database, studies

    startup.allow_pydantic_plugins()
    catalog, _ = plugins.load()
    engine = database.open_existing(storage)
    record = studies.called(engine, study)
    with redirect_stdout(sys.stderr):  # what a plugin prints is no data
        found = derive(engine, record, catalog)
    if json:
        print_json({"study": study} | asdict(found))
    else:
        number = (
            count(len(found.differences), "difference") if found.differences else "no difference"
        )
        proposals, decisions = (
            count(found.proposals, "proposal"),
            count(found.decisions, "decision"),
        )
        print(f"replayed {proposals} and {decisions}: {number}")
    if found.differences and not json:
        rows = [
            (each.seq, each.trial, each.what, each.recorded, each.derived)
            for each in found.differences
        ]
        print_table(("event", "trial", "what", "recorded", "derived"), rows)
    if found.differences:
        raise typer.Exit(1)
