"""A model, described: what its plugin says of it, and what it costs as it is counted and measured here.

The figures are those of `hpo_models.figures`, from the cache where they are known. What a plugin says of a model stands
in attributes of its factory: `use_cases`, a tuple of words, and `substitute_for`, the name of an architecture that
exists nowhere as a classifier and that this one stands in for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hpo_core import Component, InputShape
from hpo_core.commands import OfferedComponent
from hpo_models import figures_cache
from hpo_models.figures_cache import FiguresCache
from hpo_models.prefixed import prefixed

SIZE = 224
"""Pixels, unless a model does not take them: what most architectures were made for."""


@dataclass(frozen=True)
class Asked:
    """The input that models are described for; without `image_size` it is `SIZE`, or a model's smallest.

    `limit` is the number of GFLOPs above which no latency is measured; `fresh` asks for everything to be done again.
    """

    image_size: int | None
    channels: int
    classes: int
    limit: float
    fresh: bool

    def shape(self, side: int) -> InputShape:
        """An input of that many pixels."""
        return InputShape(self.channels, side, side, self.classes)


def describe(
    name: str, about: OfferedComponent, component: Component, asked: Asked, cache: FiguresCache
) -> dict[str, Any]:
    """Everything about a model, for JSON. Raises what the model raises when it cannot be built for the input."""
    figures = _counted(about.names[0], component, asked, cache)
    latency, reason = _latency(about.names[0], component, asked, figures, cache)
    return {
        "name": name,
        "prefixed_name": prefixed(name),
        "names": list(about.names),
        "plugin": about.plugin,
        "description": about.description.partition("\n")[0],
        "tier": about.tier,
        "use_cases": list(component.trait("use_cases", ())),
        "substitute_for": component.trait("substitute_for", None),
        "options": dict(component.options),
        **figures,
        "latency": latency,
        "latency_skipped": reason,
    }


def _counted(name: str, component: Component, asked: Asked, cache: FiguresCache) -> dict[str, Any]:
    """The figures that no machine changes."""

    def count() -> dict[str, Any]:
        from hpo_models import figures

        smallest = figures.smallest_input(component, asked.shape(SIZE))
        side = asked.image_size or SIZE
        try:
            counted = figures.count(component, asked.shape(side))
        except Exception:  # a model may say anything of images that it cannot take
            if asked.image_size is not None or smallest in (None, side):
                raise
            side = smallest
            counted = figures.count(component, asked.shape(side))
        shape = {"channels": asked.channels, "height": side, "width": side}
        return {"input": shape, "classes": asked.classes, "smallest_input": smallest, **counted}

    key = figures_cache.key(**_parts(name, component, asked))
    return _known(key, count, asked, cache)


def _latency(
    name: str, component: Component, asked: Asked, counted: dict[str, Any], cache: FiguresCache
) -> tuple[dict[str, Any] | None, str | None]:
    """The measured latency, or why there is none."""
    work = counted["flops"] / 1e9
    if work > asked.limit:
        return None, f"{work:.3g} GFLOP are more than the limit of {asked.limit:g}"
    shape = asked.shape(counted["input"]["height"])
    parts = _parts(name, component, replace(asked, image_size=shape.height))
    key = figures_cache.key(**parts, machine=figures_cache.machine())

    def measure() -> dict[str, Any]:
        from hpo_models import figures

        return figures.latency(component, shape)

    return _known(key, measure, asked, cache), None


def _parts(name: str, component: Component, asked: Asked) -> dict[str, Any]:
    """What figures follow from, but for versions: `name` is the first of a model's, which are all the same."""
    shape = (asked.image_size, asked.channels, asked.classes)
    return {"model": name, "options": dict(component.options), "shape": shape}


def _known(
    key: str, find: Callable[[], dict[str, Any]], asked: Asked, cache: FiguresCache
) -> dict[str, Any]:
    known = None if asked.fresh else cache.get(key)
    if known is None:
        known = find()
        cache.put(key, known)
    return known
