"""Finds installed plugins by their entry points in the group `hpo` and fills the catalog from their hooks.

Every installed plugin's entry point is imported, because which plugin offers a name is known only from its hooks and
because a name taken twice must be seen; so the module behind an entry point is small, and what is heavy stands behind
a dotted path that only a study naming it resolves. A plugin that cannot be imported, mistypes a hook, or raises in one
is kept out with its reason and stops only a study that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from hpo_core import hookspecs
from hpo_core.catalog import Catalog, Entry, Factory
from hpo_core.hookspecs import GROUP, HOOKS


@dataclass(frozen=True)
class Plugin:
    """An installed plugin. `error` says why it did not load, or is None."""

    name: str
    distribution: str
    version: str
    module: str
    error: str | None = None


def installed() -> Iterable[EntryPoint]:
    """The entry points of every plugin in this environment, sorted by name."""
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


def load(points: Iterable[EntryPoint] | None = None) -> tuple[Catalog, list[Plugin]]:
    """The catalog of what all plugins offer, and the plugins, broken ones included. Never raises for a plugin."""
    plugins: list[Plugin] = []
    entries: list[Entry] = []
    for point in installed() if points is None else points:
        distribution = point.dist.name if point.dist else "?"
        version = point.dist.version if point.dist else "?"
        plugin = Plugin(point.name, distribution, version, point.value)
        try:
            entries += _offers(point.load(), plugin)
        except (Exception, SystemExit) as error:  # whatever a foreign module may raise
            plugin = replace(plugin, error=_one_line(error))
        plugins.append(plugin)
    catalog = Catalog(broken={plugin.name: plugin.error for plugin in plugins if plugin.error})
    for entry in entries:
        catalog.add(entry)
    return catalog, plugins


def _offers(module: Any, plugin: Plugin) -> list[Entry]:
    """What one plugin registers. A manager of its own keeps its mistakes from the others."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=plugin.name)
    manager.check_pending()
    entries: list[Entry] = []
    for kind in HOOKS:

        def register(name: str, factory: Factory | str, kind: str = kind) -> None:
            _check(kind, name, factory)
            entries.append(Entry(kind, name, factory, plugin.name, plugin.distribution))

        getattr(manager.hook, f"register_{kind}")(register=register)
    return entries


def _check(kind: str, name: str, factory: Factory | str) -> None:
    if not isinstance(name, str) or not name or ":" in name or name != name.strip():
        raise ValueError(f"register_{kind}: {name!r} is not a name")
    if isinstance(factory, str) and ":" not in factory:
        raise ValueError(
            f"register_{kind}: {factory!r} is not a dotted path 'package.module:callable'"
        )
    if not isinstance(factory, str) and not callable(factory):
        raise ValueError(f"register_{kind}: the factory of '{name}' is not callable")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
