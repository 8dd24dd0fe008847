"""Where the files of versions lie, and what lies beside them that is no version's.

A stray folder does no harm and is never removed unasked: a process that was killed has left it, or it is a version in
another database whose studies have the same directory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from hpo_core.registry import tombstones
from hpo_core.registry.files import PART
from hpo_core.registry.model_version import read
from hpo_core.storage import database, studies

MODELS = "models"
"""The folder in a directory of studies that holds their models, each in a folder of its name."""


@dataclass(frozen=True)
class Stray:
    """A folder where those of versions lie, which none has; `why` is what is known of it."""

    folder: Path
    why: str


def located(storage: str, name: str, path: str) -> str:
    """Where a version's file is now: a database may have been moved with the models beside it."""
    if Path(path).exists():
        return path
    beside = database.sqlite_path(storage)
    if beside is None:
        return path
    moved = beside.parent / MODELS / name / Path(path).parent.name
    return str(moved / Path(path).name) if moved.is_dir() else path


def strays(engine: Engine, storage: str) -> list[Stray]:
    """The folders beside versions that are no version's, by their paths."""
    with database.connect(engine) as connection:
        versions, buried = read(connection), tombstones.read(connection)
    known = {_folder(storage, version.name, version.path) for version in versions}
    gone = {_folder(storage, each.name, each.path): each.label for each in buried}
    records = (Path(record.directory) for record in studies.all_studies(engine))
    beside = database.sqlite_path(storage)
    # what is not here was made elsewhere: its relative path would mean another project's folder
    models = {folder.parent.parent for folder in (*known, *gone) if _here(folder)}
    models |= {directory.parent / MODELS for directory in records if _here(directory)}
    models |= set() if beside is None else {beside.parent / MODELS}
    resolved = {folder.resolve() for folder in known}
    found = {
        folder.resolve(): folder
        for place in models
        for folder in _folders(place)
        if folder.resolve() not in resolved
    }
    labels = {folder.resolve(): label for folder, label in gone.items()}
    return [Stray(found[key], _why(key, labels)) for key in sorted(found)]


def _folder(storage: str, name: str, path: str) -> Path:
    return Path(located(storage, name, path)).parent


def _here(folder: Path) -> bool:
    return folder.is_absolute() or folder.is_dir()


def _folders(models: Path) -> Iterator[Path]:
    """What lies where the folders of versions do."""
    for folder in models.glob("*/*"):
        if folder.is_dir() and not folder.parent.name.startswith("."):
            yield folder


def _why(folder: Path, labels: dict[Path, str]) -> str:
    if folder in labels:
        label = labels[folder]
        return f"it is of {label}, which was deleted: hpo models delete {label} removes it"
    if folder.name.startswith(PART):
        return "it is not whole: a registration or a deletion is at work, or was killed"
    return "no version in this database has it"
