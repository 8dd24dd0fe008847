"""Samplers and trial schedulers for `hpo`: what to try next, and when to give a trial up.

Only names and dotted paths are handed in here; `samplers` imports Optuna in the bodies of its factories, so that
resolving a name costs nothing.
"""

from __future__ import annotations

from hpo_core import Register, hookimpl


@hookimpl
def register_samplers(register: Register) -> None:
    """Offer the factories of `hpo_search.samplers`."""
    for name in ("random", "grid", "qmc", "tpe", "gp", "ranked-gp", "cma-es", "genetic"):
        register(name, f"hpo_search.samplers:{name.replace('-', '_')}")


@hookimpl
def register_trial_schedulers(register: Register) -> None:
    """Offer the classes of the modules named after what they do."""
    register("none", "hpo_search.none:Never")
    register("median", "hpo_search.median:Median")
    register("percentile", "hpo_search.percentile:Percentile")
    register("threshold", "hpo_search.threshold:Threshold")
    register("patience", "hpo_search.patience:Patience")
    register("any", "hpo_search.composition:Any")
    register("all", "hpo_search.composition:All")
    register("asha", "hpo_search.asha:Asha")
    register("asha-promotion", "hpo_search.asha_promotion:AshaPromotion")
    register("delayed-asha", "hpo_search.delayed_asha:DelayedAsha")
    register("hyperband", "hpo_search.hyperband:Hyperband")
    register("bohb", "hpo_search.bohb:Bohb")
    register("pasha", "hpo_search.pasha:Pasha")
    register("one-epoch-top-k", "hpo_search.one_epoch_top_k:OneEpochTopK")
    register("pbt", "hpo_search.pbt:Pbt")
