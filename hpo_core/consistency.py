"""What an objective itself says about its options as a whole, such as a dataset that an augmentation would ruin.

Each option has been checked by its signature; which of them go together only the objective knows. Its factory's
attribute `check` is asked (see `hpo_core.contracts`), and what it finds is said at its place in the study file. So is
its attribute `check_files`, where the files that a study names are there to be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo_core.catalog import Catalog
from hpo_core.checking import Checker


def check(objective: Mapping[str, Any], checker: Checker, folders: Sequence[Path]) -> None:
    """Ask the objective about a tree in which every option is fine; what it complains of becomes a problem.

    `folders` are those that files of the study lie in, none where another machine runs it.
    """
    name = objective["name"]
    entry = checker.catalog.entry("objectives", name)
    asked = (("check", _traits(checker.catalog)), ("check_files", folders))
    try:
        for attribute, given in asked:
            ask = getattr(entry.factory, attribute, None)
            for place, message in ask(objective, given) if ask is not None else ():
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
