"""The catalog: from the name of a component in a study file, or of a command, to what a plugin registered for it.

Filled once by `hpo_core.plugins`. Looking a name up resolves a dotted path, so it may import a plugin's heavy half.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo_core.errors import PluginError, nearest
from hpo_core.hookspecs import HOOKS

Factory = Callable[..., Any]


class UnknownNameError(PluginError):
    """No plugin offers the name; `suggestion` is the nearest one that is offered."""

    def __init__(self, message: str, suggestion: str | None, broken: bool) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.broken = broken  # some installed plugin did not load: it may have offered the name


@dataclass(frozen=True)
class Entry:
    """A factory under its name, and who registered it."""

    kind: str
    name: str
    target: Factory | str
    plugin: str
    distribution: str

    @functools.cached_property
    def factory(self) -> Factory:
        """The factory itself. Raises PluginError when its dotted path cannot be resolved."""
        if not isinstance(self.target, str):
            return self.target
        module_name, _, attribute = self.target.partition(":")
        try:
            factory = getattr(importlib.import_module(module_name), attribute)
        except Exception as error:  # a plugin's import may raise anything
            raise PluginError(
                f"{noun(self.kind)} '{self.name}' of plugin '{self.plugin}' ({self.distribution}): "
                f"cannot import {self.target}: {type(error).__name__}: {error}"
            ) from error
        if not callable(factory):
            raise PluginError(
                f"{noun(self.kind)} '{self.name}' of plugin '{self.plugin}' ({self.distribution}): "
                f"{self.target} is not callable"
            )
        return factory  # type: ignore[no-any-return]  # callable() is all that can be known here


@dataclass
class Catalog:
    """Components by kind and name. `broken` names the plugins that did not load, with the reason."""

    broken: Mapping[str, str] = field(default_factory=dict)
    _entries: dict[str, dict[str, list[Entry]]] = field(
        default_factory=lambda: {kind: {} for kind in HOOKS}
    )

    def add(self, entry: Entry) -> None:
        """Offer a component. A name taken twice is an error for the study that uses it, naming both."""
        self._entries[entry.kind].setdefault(entry.name, []).append(entry)

    def names(self, kind: str) -> list[str]:
        """All names of a kind, sorted."""
        return sorted(self._entries[kind])

    def entries(self, kind: str) -> list[Entry]:
        """All components of a kind, sorted by name; names taken twice appear twice."""
        return [entry for name in self.names(kind) for entry in self._entries[kind][name]]

    def entry(self, kind: str, name: str) -> Entry:
        """The component called `name`, or `distribution:name` where two distributions offer the same name.

        Raises UnknownNameError, or PluginError when several distributions offer the name.
        """
        distribution, _, bare = name.rpartition(":")
        found = self._entries[kind].get(bare, [])
        if distribution:
            found = [entry for entry in found if entry.distribution == distribution]
        if not found:
            raise self._unknown(kind, name)
        if len(found) > 1:
            both = " and ".join(f"'{entry.distribution}:{bare}'" for entry in found)
            raise PluginError(
                f"the {noun(kind)} '{bare}' is offered by {both}: write one of these names in full, "
                f"or uninstall one of the distributions"
            )
        return found[0]

    def _unknown(self, kind: str, name: str) -> UnknownNameError:
        message = f"there is no {noun(kind)} '{name}'"
        if self.broken:
            reasons = "; ".join(f"{plugin}: {reason}" for plugin, reason in self.broken.items())
            message += f" (a plugin that did not load may offer it: {reasons})"
        return UnknownNameError(message, nearest(name, self.names(kind)), bool(self.broken))


def noun(kind: str) -> str:
    """A kind in the singular, for people: `lr_schedulers` -> `LR scheduler`."""
    return (
        kind.removesuffix("es" if kind.endswith("sses") else "s")
        .replace("lr_", "LR ")
        .replace("_", " ")
    )
