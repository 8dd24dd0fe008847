"""Checkpoints as folders that are there whole or not at all, and that say so themselves.

A checkpoint is a folder with any files and a manifest of their sizes and sha256 (torch and safetensors both load a file
with a flipped bit without a word). It is written under a temporary name, every file is synced, and the folder is
renamed when nothing is left to write. Whoever continues from one checks the manifest's own sha256, which the study has
stored, and then the files': a damaged checkpoint is told from a good one before any of it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from hpo_core.faults import point
from hpo_core.trial import Checkpoint

MANIFEST = "manifest.json"
MODEL = "model.safetensors"
"""The file of a checkpoint that becomes a model version."""


class DamagedError(Exception):
    """A checkpoint is not what was saved: a file is missing, cut short or changed."""


@contextlib.contextmanager
def saving(parent: Path, step: int, saved: Callable[[Checkpoint], None]) -> Iterator[Path]:
    """A folder to write the state after `step` epochs to; `saved` is called when it is in place, under `parent`.

    Raises OSError; what was written is then removed, as it is when the context is left by an exception.
    """
    final = parent / f"step-{step:06d}"
    partial = parent / f".{final.name}.partial"
    _remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        point("checkpoint.write")
        digest = _seal(partial)
        point("checkpoint.rename")
        _remove(final)  # of the same attempt, which is saving this step again
        partial.rename(final)
        _sync(parent)
    except BaseException:
        _remove(partial)
        raise
    point("checkpoint.saved")
    saved(Checkpoint(step, str(final), digest))


def verify(checkpoint: Checkpoint) -> Path:
    """The folder of a checkpoint whose every byte is as it was saved. Raises DamagedError."""
    folder = Path(checkpoint.path)
    try:
        text = (folder / MANIFEST).read_bytes()
        if hashlib.sha256(text).hexdigest() != checkpoint.sha256:
            raise DamagedError(f"{folder / MANIFEST} was changed")
        for name, about in json.loads(text).items():
            path = folder / name
            if path.stat().st_size != about["size"]:
                raise DamagedError(
                    f"{path} has {path.stat().st_size} bytes instead of {about['size']}"
                )
            if _sha256(path) != about["sha256"]:
                raise DamagedError(f"{path} was changed: its sha256 is another")
    except OSError as error:
        raise DamagedError(f"{error.filename or folder}: {error.strerror}") from error
    return folder


def delete(checkpoint: Checkpoint) -> None:
    """Remove a checkpoint that nobody needs any more; one that is gone already is no error. Raises OSError."""
    folder = Path(checkpoint.path)
    doomed = folder.with_name(f".{folder.name}.deleted")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(doomed)  # a kill in the middle must not leave half of it under its name
        _remove(doomed)


def _seal(folder: Path) -> str:
    """Sync every file and write the manifest; the manifest's sha256."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        _sync(path)
        about = {"size": path.stat().st_size, "sha256": _sha256(path)}
        files[str(path.relative_to(folder))] = about
    text = json.dumps(files, indent=1).encode()
    (folder / MANIFEST).write_bytes(text)
    _sync(folder / MANIFEST)
    _sync(folder)
    return hashlib.sha256(text).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have the system write a file or a folder's names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
