"""`hpo run --dry-run`: what would run, without running it."""

from __future__ import annotations

import json as json_module
import random
from dataclasses import asdict
from typing import Any

from hpo_core.catalog import Catalog
from hpo_core.profiles import profiles
from hpo_core.space import Choice, Distribution, Int, Scalar
from hpo_core.spec import StudySpec

SAMPLES = 3


def preview(spec: StudySpec, catalog: Catalog, *, json: bool) -> None:
    """Print the resolved study, its plugins, its parameters and a few configurations drawn at random."""
    from hpo_core.storage.database import display

    told = {
        "study": spec.study,
        **spec.identity(),
        "executor": dict(spec.executor),
        "budget": asdict(spec.budget),
        "storage": display(spec.storage),
        "plugins": _plugins(spec, catalog),
        "disabled": dict(catalog.switches),
        "parameters": {name: str(item) for name, item in spec.space.parameters().items()},
        "profiles": _profiles(spec, catalog),
        "samples": [_sample(spec, seed) for seed in range(SAMPLES)],
    }
    if json:
        print(json_module.dumps(told))
        return
    import yaml

    print(yaml.safe_dump(told, sort_keys=False, allow_unicode=True), end="")


def _profiles(spec: StudySpec, catalog: Catalog) -> dict[str, Any]:
    """The trials that a new study would begin with, and why there are not more."""
    found, why = profiles(spec, catalog)
    told: dict[str, Any] = {"first": [asdict(profile) for profile in found]}
    return told if why is None else told | {"left_out": why}


def _sample(spec: StudySpec, seed: int) -> dict[str, Any]:
    """The parameters of one configuration, drawn uniformly: not what the sampler would propose."""
    generator = random.Random(seed)
    drawn: dict[str, Any] = {}

    def draw(path: str, distribution: Distribution) -> Scalar:
        drawn[path] = _draw(distribution, generator)
        return drawn[path]  # type: ignore[no-any-return]  # a scalar, from the line above

    spec.space.fill(draw)
    return drawn


def _draw(distribution: Distribution, generator: random.Random) -> Scalar:
    if isinstance(distribution, Choice):
        return generator.choice(distribution.labels)
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.log:
        value = low * (high / low) ** generator.random()
        return int(value) if isinstance(distribution, Int) else value
    if step is None:
        return generator.uniform(low, high)
    return low + step * generator.randint(0, round((high - low) / step))


def _plugins(spec: StudySpec, catalog: Catalog) -> dict[str, str]:
    """The distribution that offers each component of the top level."""
    named = {
        "objectives": spec.objective,
        "samplers": spec.sampler,
        "trial_schedulers": spec.trial_scheduler,
        "executors": spec.executor,
    }
    return {
        str(tree["name"]): catalog.entry(kind, tree["name"]).distribution
        for kind, tree in named.items()
    }
