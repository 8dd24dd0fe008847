"""The files of model versions: put in place whole or not at all, and compared with their sha256 before anybody reads.

A version's folder is filled under another name, synced, and renamed when nothing is left to write. A process that is
killed leaves either the folder under that other name, which the next registration of the model removes once the process
is gone, or the whole folder without a row in the database: it is then taken for what it is, if the same trial is
registered again, and otherwise passed over. Nothing deletes it unasked, for it may be a version in another database.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo_core.errors import StoreError
from hpo_core.faults import point
from hpo_core.storage.holder import Holder

PROVENANCE = "provenance.json"
EVALUATION = "evaluation.json"

PART = ".part-"
"""What the names of folders begin with that are not whole."""

FORGOTTEN = 86400.0
"""Seconds after which what another machine has begun to write is taken for given up."""

Files = dict[str, dict[str, Any]]
"""By name: `sha256` in hex and `size` in bytes (None where it was not kept)."""


def digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def described(folder: Path) -> Files:
    """Every file of a folder, by its name in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"sha256": digest(path), "size": path.stat().st_size}
        for path in files
    }


def damage(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with each file that is not as it was registered, with its path."""
    for name, about in files.items():
        path = folder / name
        try:
            size = path.stat().st_size
            if about["size"] not in (None, size):
                yield f"{path} has {size} bytes instead of {about['size']}"
            elif digest(path) != about["sha256"]:
                yield f"{path} was changed: its sha256 is another than when it was registered"
        except OSError as error:
            yield f"{path}: {error.strerror}"


def any_of(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a folder holds one of the files, at least, as it was registered: it is the version's, damaged or not."""
    return len(list(damage(folder, files))) < len(files)


def check(label: str, folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare every byte of a version with what was registered. Raises StoreError that names the first such file."""
    for said in damage(folder, files):
        raise StoreError(
            f"model {label} is not what was registered: {said}; put the file back from a copy, or take another version"
        )


@contextlib.contextmanager
def filling(models: Path) -> Iterator[Path]:
    """An empty folder beside a model's versions, gone when the context is left unless it was renamed."""
    sweep(models)
    part = _part(models)
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sync(folder: Path) -> None:
    """Have the system write every file of a folder, and their names, to the disk."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """A JSON file for people and programs."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where there is none, or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def place(part: Path, folder: Path) -> bool:
    """Give a folder that is complete its final name; False when something else has it."""
    if folder.exists():
        return False  # an empty folder would be replaced without a word
    part.rename(folder)
    sync_names(folder.parent)
    return True


def remove(folder: Path) -> None:
    """Take a version's folder away: under its name it is there whole, or not at all."""
    part = _part(folder.parent)
    folder.rename(part)
    sync_names(folder.parent)
    point("model.remove")
    shutil.rmtree(part)


def sync_names(folder: Path) -> None:
    """Have the system write the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _part(models: Path) -> Path:
    """A name that says which process is at work under it."""
    here = Holder.here()
    return models / f"{PART}{here.machine or 'x'}-{here.pid}-{here.started}-{uuid.uuid4().hex[:8]}"


def sweep(models: Path) -> None:
    """Remove what processes that were killed have begun to write, or to remove."""
    for part in models.glob(f"{PART}*"):
        with contextlib.suppress(OSError, ValueError):
            machine, pid, started = part.name.removeprefix(PART).split("-")[:3]
            holder = Holder(machine, "", int(pid), int(started))
            old = time.time() - part.stat().st_mtime > FORGOTTEN
            if holder.gone or (old and not holder.here_too):
                shutil.rmtree(part, ignore_errors=True)
