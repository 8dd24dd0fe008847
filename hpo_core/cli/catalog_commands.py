"""`hpo plugins` and `hpo list`: who is installed, what each offers, and every option of a component.

All of it comes from where the engine itself takes it, the hooks and the signatures, so it cannot be out of date.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hpo_core.catalog import Catalog, Entry, noun
from hpo_core.cli.arguments import Json
from hpo_core.cli.described import described_options, docstring, first_line, option_rows
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import count
from hpo_core.errors import PluginError, UsageError, nearest
from hpo_core.hookspecs import HOOKS, KINDS
from hpo_core.plugins import Plugin, load, load_enabled, marked
from hpo_core.spec import read, without_disabled

SHOWN = 20  # names of a kind in the text about one plugin, which may offer a thousand

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    invoke_without_command=True,
    help="Installed plugins and what they offer.",
)


@app.callback()
def plugins(context: typer.Context, json: Json = False) -> None:
    """Installed plugins and what they offer; without a further word, the list of them."""
    if context.invoked_subcommand is None:
        list_plugins(json=json)


@app.command("list")
def list_plugins(
    study: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="As this study has it, which may disable some."),
    ] = None,
    json: Json = False,
) -> None:
    """Every installed plugin, what it offers, why a broken one did not load, and where one is disabled."""
    catalog, found = load_enabled() if study is None else _for_study(study)
    if json:
        return _print_json([plugin_document(catalog, plugin) for plugin in found])
    rows = [
        (plugin.name, plugin.distribution, plugin.version, plugin_summary(catalog, plugin))
        for plugin in found
    ]
    print_table(("plugin", "distribution", "version", "offers"), rows)


def _for_study(path: Path) -> tuple[Catalog, list[Plugin]]:
    installed, found = load()
    catalog = without_disabled(installed, read(path, ()), path)
    return catalog, marked(found, catalog)


@app.command("show")
def show(
    name: Annotated[
        str, typer.Argument(help="A component's or a plugin's name.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """A component with its options, or a plugin with what it offers."""
    catalog, found = load_enabled()
    entries = [entry for kind in KINDS for entry in _called(catalog, kind, name)]
    named = [plugin for plugin in found if name in (plugin.name, plugin.distribution)]
    if not entries and not named:
        raise _unknown(catalog, found, name)
    if json:
        documents = [entry_document(entry) for entry in entries]
        return _print_json(documents + [plugin_document(catalog, plugin) for plugin in named])
    blocks = [entry_lines(entry) for entry in entries]
    blocks += [plugin_lines(catalog, plugin) for plugin in named]
    for index, block in enumerate(blocks):
        if index:
            print()
        for line in block:
            print(line)


def list_kind(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(KINDS), show_default=False)],
    tier: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only those of this tier, under all their names."),
    ] = None,
    json: Json = False,
) -> None:
    """The components of a kind: what a study file may name there."""
    catalog, _ = load_enabled()
    called = kind_called(kind)
    entries = tiered(catalog.entries(called))
    if tier is not None:
        known = catalog.tiers(called)
        if tier not in known:
            there = (
                f"there are the tiers {', '.join(map(str, known))}" if known else "none has a tier"
            )
            raise UsageError(f"no {noun(called)} is of tier {tier}: {there}")
        entries = [entry for entry in entries if entry.tier == tier]
    if json:
        return _print_json([entry_document(entry) for entry in entries])
    head = ("plugin", "what it is")
    rows = [(entry.name, entry.tier, entry.plugin, entry_summary(entry)) for entry in entries]
    if all(entry.tier is None for entry in entries):
        return print_table(("name", *head), [(row[0], *row[2:]) for row in rows])
    print_table(("name", "tier", *head), rows)


def tiered(entries: Iterable[Entry]) -> list[Entry]:
    """Components, where another name of one with a tier has that tier too.

    A tier is registered for one name alone, since the choice that it stands for has each component once.
    """
    every = list(entries)
    tiers: dict[tuple[str, str | int], int] = {}
    for entry in every:
        if entry.tier is not None:
            tiers[_target(entry)] = min(entry.tier, tiers.get(_target(entry), entry.tier))
    return [
        replace(entry, tier=tiers.get(_target(entry))) if entry.tier is None else entry
        for entry in every
    ]


def _target(entry: Entry) -> tuple[str, str | int]:
    """What tells components apart without importing them; a factory need not be hashable."""
    target = entry.target
    return entry.distribution, target if isinstance(target, str) else id(target)


def kind_called(word: str) -> str:
    """The kind that a word means: singular or plural, with dashes or underscores. Raises UsageError."""
    name = word.lower().replace("-", "_")
    for kind in KINDS:
        if name in (kind, noun(kind).lower().replace(" ", "_")):
            return kind
    hint = nearest(name, KINDS)
    guess = f" - did you mean '{hint}'?" if hint else ""
    raise UsageError(f"there is no kind '{word}': {', '.join(KINDS)}{guess}")


def plugin_summary(catalog: Catalog, plugin: Plugin) -> str:
    """What a plugin offers, counted, or why it did not load."""
    if plugin.disabled is not None:
        return f"disabled by {plugin.disabled}"
    if plugin.error is not None:
        return f"BROKEN: {plugin.error}"
    offers = {kind: len(_of_plugin(catalog, kind, plugin)) for kind in HOOKS}
    parts = [count(n, noun(kind)) for kind, n in offers.items() if n]
    return ", ".join(parts) or "nothing"


def plugin_document(catalog: Catalog, plugin: Plugin) -> dict[str, Any]:
    """A plugin as `--json` prints it."""
    offers = {
        kind: [entry.name for entry in found]
        for kind in HOOKS
        if (found := _of_plugin(catalog, kind, plugin))
    }
    return asdict(plugin) | {"offers": offers}


def plugin_lines(catalog: Catalog, plugin: Plugin) -> Iterator[str]:
    """A plugin as people read it."""
    yield f"plugin {plugin.name}: {plugin.distribution} {plugin.version}, module {plugin.module}"
    if plugin.disabled is not None:
        yield f"  disabled by {plugin.disabled}"
    elif plugin.error is not None:
        yield f"  BROKEN: {plugin.error}"
    for kind, names in plugin_document(catalog, plugin)["offers"].items():
        more = f" and {len(names) - SHOWN} more: hpo list {kind}" if len(names) > SHOWN else ""
        yield f"  {kind}: {', '.join(names[:SHOWN])}{more}"


def entry_summary(entry: Entry) -> str:
    """One line about a component, or why it cannot be used."""
    try:
        return first_line(entry.factory)
    except PluginError as error:
        return f"BROKEN: {error}"


def entry_document(entry: Entry) -> dict[str, Any]:
    """A component as `--json` prints it; one whose module fails to import has an `error` and no options."""
    about = {
        "kind": entry.kind,
        "name": entry.name,
        "plugin": entry.plugin,
        "distribution": entry.distribution,
        "tier": entry.tier,
    }
    try:
        factory = entry.factory
    except PluginError as error:
        return about | {"error": str(error)}
    options = described_options(factory)
    return about | {"description": docstring(factory), "options": [asdict(o) for o in options]}


def entry_lines(entry: Entry) -> Iterator[str]:
    """A component as people read it. Raises PluginError when its module cannot be imported."""
    factory = entry.factory
    tier = "" if entry.tier is None else f", tier {entry.tier}"
    yield f"{noun(entry.kind)} {entry.name}  (plugin {entry.plugin}, {entry.distribution}{tier})"
    yield from (f"  {line}".rstrip() for line in docstring(factory).splitlines())
    yield from option_rows(described_options(factory))


def _called(catalog: Catalog, kind: str, name: str) -> list[Entry]:
    """The components of a kind under `name` or `distribution:name`."""
    return [
        entry
        for entry in tiered(catalog.entries(kind))
        if name in (entry.name, f"{entry.distribution}:{entry.name}")
    ]


def _of_plugin(catalog: Catalog, kind: str, plugin: Plugin) -> list[Entry]:
    return [
        entry
        for entry in catalog.entries(kind)
        if (entry.plugin, entry.distribution) == (plugin.name, plugin.distribution)
    ]


def _unknown(catalog: Catalog, found: Sequence[Plugin], name: str) -> UsageError:
    known = {name for kind in KINDS for name in catalog.names(kind)}
    known |= {plugin.name for plugin in found} | {plugin.distribution for plugin in found}
    hint = nearest(name, known)
    guess = f" - did you mean '{hint}'?" if hint else ": see hpo plugins list"
    return UsageError(f"no component and no plugin is called '{name}'{guess}")


def _print_json(value: Any) -> None:
    print(json_module.dumps(value, indent=2, default=repr))
