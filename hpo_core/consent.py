"""Leave to run code that a study names, which a person must give: whoever sends a study file sends no code with it."""

from __future__ import annotations

from hpo_core.catalog import Catalog
from hpo_core.errors import UsageError


def check(catalog: Catalog, objective: str, subject: str) -> None:
    """Called where no leave was given. Raises UsageError for an objective that needs it, before a trial would fail."""
    if getattr(catalog.entry("objectives", objective).factory, "runs_code", False):
        raise UsageError(
            f"{subject} names code to be run (objective '{objective}'): say --allow-code if it may"
        )
