"""What an objective itself says about its options as a whole, such as a dataset that an augmentation would ruin.

Each option has been checked by its signature; which of them go together only the objective knows. Its factory's
attribute `check` is asked (see `hpo_core.contracts`), and what it finds is said at its place in the study file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_core.catalog import Catalog
from hpo_core.checking import Checker


def check(objective: Mapping[str, Any], checker: Checker) -> None:
    """Ask the objective about a tree in which every option is fine; what it complains of becomes a problem."""
    name = objective["name"]
    entry = checker.catalog.entry("objectives", name)
    ask = getattr(entry.factory, "check", None)
    if ask is None:
        return
    try:
        for place, message in ask(objective, _traits(checker.catalog)):
            checker.blame(("objective", *place), str(message))
    except Exception as error:  # a plugin may raise anything
        said = f"{type(error).__name__}: {error}"
        message = f"the objective '{name}' of plugin '{entry.plugin}' ({entry.distribution}) could not be asked: {said}"
        checker.blame(("objective",), message, plugin=True)


def _traits(catalog: Catalog) -> Any:
    def trait(kind: str, name: str, attribute: str) -> Any:
        """What the factory of a component says of itself in an attribute, or None. Raises PluginError."""
        return getattr(catalog.entry(kind, name).factory, attribute, None)

    return trait
