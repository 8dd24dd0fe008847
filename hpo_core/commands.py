"""What a plugin's command may use of the engine: a study file, read and checked, and the components on offer.

A command (`register_commands`) is a function or a group as typer takes them; this module is for those that do something
with a study file or a component. Imported in a command's body, for the help needs none of it.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_core import options, plugins, references, spec, switches, yaml_source
from hpo_core.catalog import Catalog, Entry, noun
from hpo_core.checking import Checker
from hpo_core.errors import PluginError, StudyFileError, UsageError
from hpo_core.options import Component
from hpo_core.registry.model_version import ModelVersion
from hpo_core.registry.registry import Registry
from hpo_core.space import flow, written
from hpo_core.storage.database import display

__all__ = [
    "CheckedStudy",
    "ModelVersion",
    "OfferedComponent",
    "Registry",
    "UsageError",
    "display",
    "flow",
    "offered",
    "read_component",
    "read_study",
]

_CORE = "hpo-core"


@dataclass(frozen=True)
class CheckedStudy:
    """A study file that is fine.

    `given` is what stands in it, overrides applied. `understood` is how its objective, executor, storage, directory and
    checkpoints are meant, by the keys of the file, defaults filled in and references as they are. `environment` names
    the variables that it refers to. `versions` are those of the distributions that it needs, hpo-core included, as they
    are installed here. `switches` is the `hpo.toml` that counts for it.
    """

    path: Path
    name: str
    given: Mapping[str, Any]
    understood: Mapping[str, Any]
    environment: list[str]
    versions: Mapping[str, str]
    switches: Path | None = None


def read_study(
    path: Path, overrides: Iterable[str] = (), *, runs_here: bool = True
) -> CheckedStudy:
    """Read and check a study file, with `key.path=value` overrides applied.

    One that another machine runs may refer to variables that are not set in this environment. Raises StudyFileError
    with every problem at once, which the command line prints, and UsageError for an override that is none.
    """
    source = spec.read(path, overrides)
    catalog = _Noting(spec.without_disabled(plugins.load()[0], source, path))
    study = spec.check(source, catalog, path, runs_here=runs_here)
    understood = {
        "objective": study.objective,
        "executor": study.executor,
        "storage": study.storage,
        "directory": study.directory,
        "checkpoints": study.checkpoints,
    }
    versions = {name: importlib.metadata.version(name) for name in sorted({_CORE, *catalog.used})}
    environment = references.names(source.data)
    settings = switches.file_in(path.parent, Path())
    return CheckedStudy(path, study.study, source.data, understood, environment, versions, settings)


@dataclass(frozen=True)
class OfferedComponent:
    """A component that study files may name. `names` are all that its factory goes by, sorted.

    `description` is the factory's docstring. `defaults` are its options' defaults and `ranges` the distributions that
    its plugin suggests to search, as study files write them; an option that is required has no default. `tier` is the
    first of those that its names are registered with.
    """

    kind: str
    names: tuple[str, ...]
    plugin: str
    description: str
    defaults: Mapping[str, Any]
    ranges: Mapping[str, Any]
    tier: int | None = None


def offered(kind: str) -> list[OfferedComponent]:
    """The components of a kind, sorted by name; those that cannot be imported or declare no options are left out."""
    loaded, _ = plugins.load_enabled()
    groups: dict[int, list[Entry]] = {}
    for entry in loaded.entries(kind):
        try:
            options.options_of(entry.factory)
        except (PluginError, TypeError, ValueError, NameError):
            continue  # `hpo plugins show` says why
        groups.setdefault(id(entry.factory), []).append(entry)
    return [_offered(entries) for entries in groups.values()]


def _offered(entries: list[Entry]) -> OfferedComponent:
    first = entries[0]
    known = options.options_of(first.factory).values()
    return OfferedComponent(
        first.kind,
        tuple(entry.name for entry in entries),
        first.plugin,
        inspect.getdoc(first.factory) or "",
        {option.name: option.default for option in known if not option.required},
        {option.name: written(option.range) for option in known if option.range is not None},
        min((entry.tier for entry in entries if entry.tier is not None), default=None),
    )


def read_component(kind: str, name: str, overrides: Iterable[str] = ()) -> Component:
    """The component of that name, with `option=value` overrides applied, to be built.

    Raises StudyFileError with every problem of the overrides at once, and UsageError for an override that is none or a
    name that nothing has.
    """
    title = noun(kind)
    source = yaml_source.parse("{}", title)
    for override in overrides:
        source = yaml_source.apply_override(source, override)
    loaded, _ = plugins.load_enabled()
    checker = Checker(loaded)
    tree = checker.component(kind, {"name": name, **source.data}, (), searchable=False)
    for path, problem in checker.problems:
        if path == ("name",) and not problem.plugin:
            hint = f" - did you mean '{problem.suggestion}'?" if problem.suggestion else ""
            listed = f"hpo list {kind.replace('_', '-')}"
            raise UsageError(f"{problem.message}{hint} ({listed} says what there is)")
    if checker.problems:
        located = (source.locate(path, problem) for path, problem in checker.problems)
        raise StudyFileError(title, located)
    return options.bind(loaded, kind, tree)


class _Noting(Catalog):
    """A catalog that notes the distributions of what it is asked for."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog.broken, catalog._entries, catalog.plugins, catalog.switches)
        self.used: set[str] = set()

    def entry(self, kind: str, name: str) -> Entry:
        """As `Catalog.entry`."""
        found = super().entry(kind, name)
        self.used.add(found.distribution)
        return found
