"""Arguments that several commands take, declared once so that they read and default alike."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo_core.study_file import DEFAULT_STORAGE as DEFAULT_STORAGE

Storage = Annotated[
    str, typer.Option("--storage", metavar="URL", help="The database, as in the study file.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
