"""`hpo-local`: trials on this machine, and the objective that is any Python function."""

from __future__ import annotations

from hpo_core import Register, hookimpl


@hookimpl
def register_executors(register: Register) -> None:
    """Offer `inline` and `processes`."""
    register("inline", "hpo_local.inline:Inline")
    register("processes", "hpo_local.processes:Processes")


@hookimpl
def register_objectives(register: Register) -> None:
    """Offer `python`."""
    register("python", "hpo_local.python_objective:python")
