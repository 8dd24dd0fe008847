"""What a plugin's command may use of the engine: a study file, read and checked, and whom it needs.

A command (`register_commands`) is a function or a group as typer takes them; this module is for those that do something
with a study file. Imported in a command's body, for the help needs none of it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_core import plugins, references, spec
from hpo_core.catalog import Catalog, Entry
from hpo_core.errors import UsageError
from hpo_core.storage.database import display

__all__ = ["CheckedStudy", "UsageError", "display", "read_study"]

_CORE = "hpo-core"


@dataclass(frozen=True)
class CheckedStudy:
    """A study file that is fine.

    `given` is what stands in it, overrides applied. `understood` is how its objective, executor, storage, directory and
    checkpoints are meant, by the keys of the file, defaults filled in and references as they are. `environment` names
    the variables that it refers to. `versions` are those of the distributions that it needs, hpo-core included, as they
    are installed here.
    """

    path: Path
    name: str
    given: Mapping[str, Any]
    understood: Mapping[str, Any]
    environment: list[str]
    versions: Mapping[str, str]


def read_study(
    path: Path, overrides: Iterable[str] = (), *, runs_here: bool = True
) -> CheckedStudy:
    """Read and check a study file, with `key.path=value` overrides applied.

    One that another machine runs may refer to variables that are not set in this environment. Raises StudyFileError
    with every problem at once, which the command line prints, and UsageError for an override that is none.
    """
    source = spec.read(path, overrides)
    loaded, _ = plugins.load()
    catalog = _Noting(loaded)
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
    return CheckedStudy(path, study.study, source.data, understood, environment, versions)


class _Noting(Catalog):
    """A catalog that notes the distributions of what it is asked for."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog.broken, catalog._entries)
        self.used: set[str] = set()

    def entry(self, kind: str, name: str) -> Entry:
        """As `Catalog.entry`."""
        found = super().entry(kind, name)
        self.used.add(found.distribution)
        return found
