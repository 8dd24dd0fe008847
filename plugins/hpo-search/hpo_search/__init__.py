"""Samplers and trial schedulers for `hpo`: what to try next, and when to give a trial up.

Only names and dotted paths are handed in here; `samplers` imports Optuna in the bodies of its factories, so that
resolving a name costs nothing.
"""

from __future__ import annotations

from hpo_core import Register, hookimpl


@hookimpl
def register_samplers(register: Register) -> None:
    """Offer the factories of `hpo_search.samplers`."""
    for name in ("random", "grid", "qmc", "tpe", "gp", "cma-es", "genetic"):
        register(name, f"hpo_search.samplers:{name.replace('-', '_')}")


@hookimpl
def register_trial_schedulers(register: Register) -> None:
    """Offer one class from each of four modules."""
    register("none", "hpo_search.none:Never")
    register("median", "hpo_search.median:Median")
    register("asha", "hpo_search.asha:Asha")
    register("patience", "hpo_search.patience:Patience")
