"""Checkpoints as folders that are there whole or not at all, and that say so themselves.

A checkpoint is a folder with any files and a manifest of their sizes and sha256 (torch and safetensors both load a file
with a flipped bit without a word). It is written under a temporary name, every file is synced, and the folder is
renamed when nothing is left to write. Whoever continues from one checks the manifest's own sha256, which the study has
stored, and then the files': a damaged checkpoint is told from a good one before any of it is read.

It lies in a folder of this machine, or of a file system that it shares with others, or in a store (`hpo_core.remote`):
then it is filled and read in a local folder, and its manifest is what makes it count in the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from hpo_core import addresses
from hpo_core.errors import disk_is_full
from hpo_core.faults import point
from hpo_core.remote import Place
from hpo_core.trial import Checkpoint

MANIFEST = "manifest.json"
MODEL = "model.safetensors"
"""The file of a checkpoint that becomes a model version."""

OF_A_MODEL = (MODEL, "labels_mapping.json")
"""The files that belong to the model, of those that a checkpoint may have: no optimizer's state."""


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
    except BaseException as error:
        _remove(partial)
        if disk_is_full(error) and error.filename is None:
            error.filename = str(parent)  # a write says nothing of where it was
        raise
    point("checkpoint.saved")
    saved(Checkpoint(step, str(final), digest))


@contextlib.contextmanager
def saving_at(
    address: str, step: int, scratch: Path, saved: Callable[[Checkpoint], None]
) -> Iterator[Path]:
    """As `saving`, below an address: a folder's, or a store's, for which the folder is filled under `scratch`.

    Raises OSError: `hpo_core.addresses.UnavailableError` when the store is to blame.
    """
    place = addresses.resolved(address)
    if not addresses.is_remote(place):
        with saving(Path(place).absolute(), step, saved) as folder:
            yield folder
        return
    name = f"step-{step:06d}"
    with _scratch(scratch / f".{name}.partial") as folder:
        yield folder
        point("checkpoint.write")
        digest = _seal(folder)
        Place(f"{address}/{name}").send(folder, seal=MANIFEST)
    point("checkpoint.saved")
    saved(Checkpoint(step, f"{address}/{name}", digest))


def verify(checkpoint: Checkpoint) -> Path:
    """The folder of a checkpoint whose every byte is as it was saved. Raises DamagedError."""
    folder = Path(addresses.resolved(checkpoint.path))
    try:
        _check(folder, checkpoint.path, checkpoint.sha256)
    except OSError as error:
        said = f"{error.filename or folder}: {error.strerror}"
        raise DamagedError(addresses.shown(said)) from error
    return folder


@contextlib.contextmanager
def fetched(checkpoint: Checkpoint, scratch: Path) -> Iterator[Path]:
    """The local folder of a checkpoint whose every byte is as it was saved, for the length of the context.

    What lies in a store is copied to a folder under `scratch`. Raises DamagedError, and UnavailableError when nothing
    can be said of it.
    """
    if not addresses.is_remote(addresses.resolved(checkpoint.path)):
        yield verify(checkpoint)
        return
    with _scratch(scratch / f".step-{checkpoint.step:06d}.fetched") as folder:
        _fetch(checkpoint, folder)
        yield folder


def delete(checkpoint: Checkpoint) -> None:
    """Remove a checkpoint that nobody needs any more; one that is gone already is no error. Raises OSError."""
    place = addresses.resolved(checkpoint.path)
    if addresses.is_remote(place):
        return Place(checkpoint.path, waits=()).remove(seal=MANIFEST)
    folder = Path(place)
    doomed = folder.with_name(f".{folder.name}.deleted")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(doomed)  # a kill in the middle must not leave half of it under its name
        _remove(doomed)


def _fetch(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy the files that a checkpoint's manifest names. Raises DamagedError and UnavailableError."""
    place = Place(checkpoint.path)
    name = MANIFEST
    try:
        text = place.read(MANIFEST)
        _same(text, place.address, checkpoint.sha256)
        (folder / MANIFEST).write_bytes(text)
        for name in json.loads(text):
            point("checkpoint.fetch")
            place.fetch(name, folder / name)
    except FileNotFoundError as error:
        raise DamagedError(f"{place.address}/{name}: there is no such file") from error
    _check(folder, place.address, checkpoint.sha256)


def _check(folder: Path, shown: str, sha256: str) -> None:
    """Compare every byte with what the manifest says, and that with its sha256. Raises DamagedError and OSError."""
    text = (folder / MANIFEST).read_bytes()
    _same(text, shown, sha256)
    for name, about in json.loads(text).items():
        size = (folder / name).stat().st_size
        if size != about["size"]:
            raise DamagedError(f"{shown}/{name} has {size} bytes instead of {about['size']}")
        if _sha256(folder / name) != about["sha256"]:
            raise DamagedError(f"{shown}/{name} was changed: its sha256 is another")


def _same(manifest: bytes, shown: str, sha256: str) -> None:
    if hashlib.sha256(manifest).hexdigest() != sha256:
        raise DamagedError(f"{shown}/{MANIFEST} was changed")


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards; what a kill leaves of it is swept with the study's other leftovers."""
    _remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _seal(folder: Path) -> str:
    """Sync every file and write the manifest; the manifest's sha256. Raises ValueError when its name is taken."""
    if (folder / MANIFEST).exists():
        raise ValueError(
            f"'{MANIFEST}' is written by hpo itself: give that file of the checkpoint another name"
        )
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
