"""Where the files of a dataset lie, as a list of them and as their bytes: a folder, or what fsspec reaches.

A file that is not what the list says, before it is read or after, is an error that names it: a manifest of files that
changed meanwhile would be of nothing that there ever was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from hpo_core import addresses
from hpo_core.datasets import paths
from hpo_core.datasets.entries import Found
from hpo_core.errors import StoreError, UsageError


class Source(Protocol):
    """`shown` is its address for people, `key` stands for it where addresses are compared.

    `threads` is how many files are read at once: more than one where each is waited for.
    """

    shown: str
    key: str
    threads: int

    def listed(self) -> Iterator[Found]:
        """Every file, sorted by path. Raises StoreError that names the first one that cannot be of a version."""
        ...

    def chunks(self, found: Found) -> Iterator[bytes]:
        """The bytes of a file. Raises StoreError when it cannot be read, or is not as it was found."""
        ...


def opened(address: str) -> Source:
    """The files at an address, whose references are resolved. Raises UsageError and StoreError."""
    try:
        place = addresses.resolved(address)
    except addresses.UnavailableError as error:
        raise UsageError(str(error)) from None
    if addresses.is_remote(place):
        from hpo_core.datasets.remote_files import RemoteFiles

        return RemoteFiles(address)
    from hpo_core.datasets.local_files import LocalFiles

    folder = Path(place).expanduser()
    shown = addresses.shown(str(folder))
    if not folder.is_dir():
        what = "is a file: name its folder" if folder.exists() else "is not there"
        raise UsageError(f"{shown} {what}")
    return LocalFiles(folder, shown)


def digest(source: Source, found: Found) -> str:
    """The sha256 of a file, in hex; every byte of it is read."""
    made = hashlib.sha256()
    for chunk in source.chunks(found):
        made.update(chunk)
    return made.hexdigest()


def checked(address: str) -> str:
    """An address as it is stored: a folder's absolute path, or a URL with its references. Raises UsageError."""
    if addresses.says_password(address):
        raise UsageError(
            "a password in an address would be stored: set it in the environment and write ${env:NAME}"
        )
    wrong = None if address.startswith("memory://") else addresses.problem(address)
    if wrong is not None:
        hint = f" - did you mean '{wrong[1]}'?" if wrong[1] else ""
        raise UsageError(f"{addresses.shown(address)}: {wrong[0]}{hint}")
    bare = address.removeprefix("file://")
    if addresses.is_remote(bare) or bare.startswith("${"):
        return bare.rstrip("/")
    return str(Path(bare or "/").expanduser().absolute())


def refused(shown: str, path: str, why: str) -> StoreError:
    """What is said of a file that cannot be of a version."""
    return StoreError(f"{paths.shown(f'{shown}/{path}')}: {why}")


def changed(shown: str, path: str) -> StoreError:
    """What is said of a file that somebody writes to."""
    return refused(shown, path, "it changed while it was read: try again when nobody writes to it")
