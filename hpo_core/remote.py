"""Folders of files in a store that fsspec reaches: sent and fetched, listed, removed.

A store has no rename that is there whole or not at all (S3 has none at all), so a folder counts from the moment when
its *seal*, one small file that is sent last and removed first, can be read. What passes is waited for a few times;
a store that then still does not answer is a fault of neither the trial nor its files, and has an exception of its own.

Every message names the address as the study file has it: what its references stand for is never shown.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from hpo_core import addresses
from hpo_core.addresses import UnavailableError
from hpo_core.errors import disk_is_full
from hpo_core.faults import point

WAITS = (1.0, 5.0)
"""Seconds before what failed is tried again. The libraries of stores have retries of their own, shorter ones."""

_FINAL = (PermissionError, FileNotFoundError, ImportError)
"""What trying again does not mend: no right to do it, no such bucket, no library."""

_FLAT = frozenset("s3 s3a gs gcs abfs az oci ocilake oss tos tosfs".split())
"""Stores without folders. Asked to make one, their libraries make the bucket: a mistyped one must be an error."""

T = TypeVar("T")


class Place:
    """A folder in a store. `waits` are the seconds before each further try. Everything raises UnavailableError."""

    def __init__(self, address: str, waits: tuple[float, ...] | None = None) -> None:
        self.address = address
        self._waits = WAITS if waits is None else waits
        self._fs, self._path = self._open()

    def send(self, folder: Path, seal: str) -> None:
        """Have all files of a local folder there, the one called `seal` last. Another one that was there is no more."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        names = [str(path.relative_to(folder)) for path in files]
        names.remove(seal)
        self.remove_file(seal)
        for name in names:
            point("checkpoint.upload")
            self._put(folder / name, name)
        point("checkpoint.publish")
        self._put(folder / seal, seal)

    def read(self, name: str) -> bytes:
        """A small file. Raises FileNotFoundError."""
        at = self._at(name)
        data: bytes = self._ask(f"read {name} in", lambda: self._fs.cat_file(at), absent=True)
        return data

    def write(self, name: str, data: bytes) -> None:
        """Make a small file."""
        self._make_folder(name)
        self._ask(f"write {name} in", lambda: self._fs.pipe_file(self._at(name), data))

    def fetch(self, name: str, to: Path) -> None:
        """Copy a file to a local path. Raises FileNotFoundError."""
        to.parent.mkdir(parents=True, exist_ok=True)
        at = self._at(name)
        self._ask(f"fetch {name} from", lambda: self._fs.get_file(at, str(to)), absent=True)

    def remove(self, seal: str) -> None:
        """Remove the folder, the file called `seal` first. It is no error when it is not there."""
        self.remove_file(seal)
        point("checkpoint.remove")
        self._fs.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            self._ask("delete", lambda: self._fs.rm(self._path, recursive=True), absent=True)

    def files(self) -> Iterator[str]:
        """The paths of all files in the folder and below, relative to it."""
        self._fs.invalidate_cache()
        found: list[str] = self._ask("list", lambda: self._fs.find(self._path))
        inside = f"{self._path}/"
        return (path.removeprefix(inside) for path in found if path.startswith(inside))

    def remove_file(self, name: str) -> None:
        """Remove a file; it is no error when it is not there."""
        with contextlib.suppress(FileNotFoundError):
            at = self._at(name)
            self._ask(f"delete {name} in", lambda: self._fs.rm_file(at), absent=True)

    def _open(self) -> tuple[Any, str]:
        """The file system, and the folder's path in it without its protocol."""
        import fsspec

        place = addresses.resolved(self.address)
        opened: tuple[Any, str] = self._ask("open", lambda: fsspec.core.url_to_fs(place))
        return opened

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _put(self, path: Path, name: str) -> None:
        self._make_folder(name)
        self._ask(f"send {name} to", lambda: self._fs.put_file(str(path), self._at(name)))

    @property
    def flat(self) -> bool:
        """Whether the store has no folders, and shows an object when all of it was sent."""
        protocol = self._fs.protocol
        return bool(({protocol} if isinstance(protocol, str) else set(protocol)) & _FLAT)

    def _make_folder(self, name: str) -> None:
        if not self.flat:
            parent = self._at(name).rpartition("/")[0]
            self._ask(f"make a folder for {name} in", lambda: self._fs.makedirs(parent, True))

    def _ask(self, what: str, act: Callable[[], T], absent: bool = False) -> T:
        """What the store answers. Raises FileNotFoundError where `absent` is an answer, and OSError of a full disk."""
        for wait in (*self._waits, None):
            try:
                return act()
            except Exception as error:  # each library has its own, and many of them
                if absent and isinstance(error, FileNotFoundError):
                    raise
                if disk_is_full(error):
                    raise
                if wait is None or isinstance(error, _FINAL):
                    raise self._unavailable(what, error) from None  # it may quote a password
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _unavailable(self, what: str, error: Exception) -> UnavailableError:
        said = addresses.shown(" ".join(str(error).split()))
        where = addresses.shown(self.address)
        return UnavailableError(f"cannot {what} {where}: {type(error).__name__}: {said}")
