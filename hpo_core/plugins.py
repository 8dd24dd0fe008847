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
from pathlib import Path
from typing import Any

import pluggy

from hpo_core import hookspecs, switches
from hpo_core.catalog import Catalog, Entry, Factory
from hpo_core.hookspecs import GROUP, HOOKS, Register


@dataclass(frozen=True)
class Plugin:
    """An installed plugin. `error` says why it did not load and `disabled` where it is switched off, or are None."""

    name: str
    distribution: str
    version: str
    module: str
    error: str | None = None
    disabled: str | None = None


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
    catalog = Catalog(
        broken={plugin.name: plugin.error for plugin in plugins if plugin.error},
        plugins=frozenset((plugin.name, plugin.distribution) for plugin in plugins),
    )
    for entry in entries:
        catalog.add(entry)
    return catalog, plugins


def load_enabled() -> tuple[Catalog, list[Plugin]]:
    """As `load`, without what the working directory's `hpo.toml` switches off. Raises StudyFileError if that is wrong.

    For commands that are about no study: a study may switch off others (`hpo_core.spec.without_disabled`).
    """
    catalog, found = load()
    catalog = catalog.without(switches.of_file(catalog, Path()))
    return catalog, marked(found, catalog)


def marked(found: Iterable[Plugin], catalog: Catalog) -> list[Plugin]:
    """The plugins, each with the place that switches it off in this catalog."""
    return [
        replace(plugin, disabled=catalog.switched_off(plugin.name, plugin.distribution))
        for plugin in found
    ]


def _offers(module: Any, plugin: Plugin) -> list[Entry]:
    """What one plugin registers. A manager of its own keeps its mistakes from the others."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=plugin.name)
    manager.check_pending()
    entries: list[Entry] = []
    for kind in HOOKS:
        getattr(manager.hook, f"register_{kind}")(register=_register(kind, plugin, entries))
    return entries


def _register(kind: str, plugin: Plugin, entries: list[Entry]) -> Register:
    """What a hook is handed: it adds to `entries`."""

    def register(name: str, factory: Factory | str, tier: int | None = None) -> None:
        _check(kind, name, factory, tier)
        entries.append(Entry(kind, name, factory, plugin.name, plugin.distribution, tier))

    return register


def _check(kind: str, name: str, factory: Factory | str, tier: int | None) -> None:
    if not isinstance(name, str) or not name or ":" in name or name != name.strip():
        raise ValueError(f"register_{kind}: {name!r} is not a name")
    if isinstance(factory, str) and ":" not in factory:
        raise ValueError(
            f"register_{kind}: {factory!r} is not a dotted path 'package.module:callable'"
        )
    if not isinstance(factory, str) and not callable(factory):
        raise ValueError(f"register_{kind}: the factory of '{name}' is not callable")
    if tier is not None and (isinstance(tier, bool) or not isinstance(tier, int) or tier < 1):
        raise ValueError(
            f"register_{kind}: the tier of '{name}' is a whole number from 1, not {tier!r}"
        )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
