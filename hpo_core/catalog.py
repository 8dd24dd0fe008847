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
    """A factory under its name, and who registered it. `tier` says how early it is worth trying, from 1, or is None."""

    kind: str
    name: str
    target: Factory | str
    plugin: str
    distribution: str
    tier: int | None = None

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
    """Components by kind and name.

    `broken` names the plugins that did not load, with the reason. `plugins` are all that are installed, each with its
    distribution. `switches` are those that are switched off, a plugin or a distribution, with the place that says so.
    """

    broken: Mapping[str, str] = field(default_factory=dict)
    _entries: dict[str, dict[str, list[Entry]]] = field(
        default_factory=lambda: {kind: {} for kind in HOOKS}
    )
    plugins: frozenset[tuple[str, str]] = frozenset()
    switches: Mapping[str, str] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Offer a component. A name taken twice is an error for the study that uses it, naming both."""
        self._entries[entry.kind].setdefault(entry.name, []).append(entry)

    def names(self, kind: str) -> list[str]:
        """All names of a kind, sorted."""
        return sorted(name for name in self._entries[kind] if self._called(kind, name))

    def entries(self, kind: str) -> list[Entry]:
        """All components of a kind, sorted by name; names taken twice appear twice."""
        return [entry for name in sorted(self._entries[kind]) for entry in self._called(kind, name)]

    def tiers(self, kind: str) -> dict[int, list[str]]:
        """The names of the components of each tier, both sorted; those without a tier are left out."""
        found: dict[int, set[str]] = {}
        for entry in self.entries(kind):
            if entry.tier is not None:
                found.setdefault(entry.tier, set()).add(entry.name)
        return {tier: sorted(found[tier]) for tier in sorted(found)}

    def entry(self, kind: str, name: str) -> Entry:
        """The component called `name`, or `distribution:name` where two distributions offer the same name.

        A plugin may stand for its distribution, which may have several. Raises UnknownNameError, or PluginError when
        several distributions offer the name.
        """
        distribution, _, bare = name.rpartition(":")
        found = self._called(kind, bare)
        if distribution:
            found = _of(found, distribution)
        if not found:
            raise self._unknown(kind, name)
        if len(found) > 1:
            both = " and ".join(f"'{entry.distribution}:{bare}'" for entry in found)
            raise PluginError(
                f"the {noun(kind)} '{bare}' is offered by {both}: write one of these names in full, "
                f"or uninstall one of the distributions"
            )
        return found[0]

    def full_name(self, entry: Entry, name: str) -> str:
        """The name by which a worker, for whom nothing is switched off, finds what the study calls `name`."""
        offered = self._entries[entry.kind][entry.name]
        if ":" in name or len(offered) == 1:
            return name
        alone = len(_of(offered, entry.distribution)) == 1
        return f"{entry.distribution if alone else entry.plugin}:{name}"

    def without(self, switches: Mapping[str, str]) -> Catalog:
        """This catalog with more plugins, or distributions, switched off: each with the place that says so."""
        if switches.keys() <= self.switches.keys():
            return self
        every = {**switches, **self.switches}
        off = {plugin for plugin, distribution in self.plugins if {plugin, distribution} & {*every}}
        broken = {plugin: why for plugin, why in self.broken.items() if plugin not in off}
        return Catalog(broken, self._entries, self.plugins, every)

    def switched_off(self, plugin: str, distribution: str) -> str | None:
        """The place that switches a plugin off, or None."""
        return self.switches.get(plugin) or self.switches.get(distribution)

    def _called(self, kind: str, name: str) -> list[Entry]:
        """What is offered under a name by plugins that are not switched off."""
        offered = self._entries[kind].get(name, [])
        if not self.switches:
            return offered
        return [e for e in offered if self.switched_off(e.plugin, e.distribution) is None]

    def _unknown(self, kind: str, name: str) -> UnknownNameError:
        for entry in self._entries[kind].get(name.rpartition(":")[2], []):
            place = self.switched_off(entry.plugin, entry.distribution)
            if place is not None:
                whose = f"the {noun(kind)} '{name}' is offered by plugin '{entry.plugin}'"
                return UnknownNameError(f"{whose}, which {place} disables", None, False)
        message = f"there is no {noun(kind)} '{name}'"
        if self.broken:
            reasons = "; ".join(f"{plugin}: {reason}" for plugin, reason in self.broken.items())
            message += f" (a plugin that did not load may offer it: {reasons})"
        return UnknownNameError(message, nearest(name, self.names(kind)), bool(self.broken))


def _of(entries: list[Entry], whose: str) -> list[Entry]:
    """Those of a distribution, or of a plugin."""
    found = [entry for entry in entries if entry.distribution == whose]
    return found or [entry for entry in entries if entry.plugin == whose]


def noun(kind: str) -> str:
    """A kind in the singular, for people: `lr_schedulers` -> `LR scheduler`."""
    return (
        kind.removesuffix("es" if kind.endswith("sses") else "s")
        .replace("lr_", "LR ")
        .replace("_", " ")
    )
