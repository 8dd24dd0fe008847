"""What an augmentation does to images, as an attribute of its factory: which data keep their labels through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from hpo_core import Operation

Factory = TypeVar("Factory", bound=Callable[..., Any])
Says = Callable[[Mapping[str, Any]], Iterable[Operation]]

UPRIGHT = 30.0
"""Degrees up to which a turned image still shows what it did: a 6 is no 9 yet. Not counted as `rotate`."""


def does(*operations: Operation) -> Callable[[Factory], Factory]:
    """Mark the factory of an augmentation that does this, whatever its options."""
    return says(lambda options: operations)


def says(operations: Says) -> Callable[[Factory], Factory]:
    """Mark the factory of an augmentation whose options, all of them by name, decide what it does."""

    def marked(factory: Factory) -> Factory:
        factory.operations = operations  # type: ignore[attr-defined]  # see `hpo_core.contracts`
        return factory

    return marked
