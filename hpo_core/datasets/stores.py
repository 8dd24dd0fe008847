"""Where manifests and copies of files lie: `manifests/ab/cdef...`, `objects/ab/cdef...`, called by what they hold.

Nothing that lies there is ever changed (`stamps/NAME.jsonl`, which only saves time, is replaced as a whole), and
whatever has its final name is whole: in a folder it is synced and then renamed, in a store without folders it is there
when all of it was sent, and elsewhere it is sent under another name and renamed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from hpo_core import addresses
from hpo_core.addresses import UnavailableError
from hpo_core.errors import DiskFullError, StorageError, StoreError, disk_is_full
from hpo_core.registry import files
from hpo_core.remote import Place


class Store(Protocol):
    """`shown` is its address for people, `threads` how many files are sent or fetched at once."""

    shown: str
    threads: int

    def size(self, name: str) -> int | None:
        """The size of a file in bytes, or None where there is none."""
        ...

    def put(self, path: Path, name: str) -> None:
        """Have a local file there, whole; it may be moved, and must be one of `drafts`."""
        ...

    def fetched(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """A file of the store as a local one, not to be changed, for the length of the context."""
        ...

    def drafts(self) -> contextlib.AbstractContextManager[Path]:
        """A local folder to write files in that are to be put here; gone with the context, or with the process."""
        ...


def opened(address: str) -> Store:
    """The store at an address, whose references are resolved. It need not be there yet. Raises StoreError."""
    try:
        place = addresses.resolved(address)
        if addresses.is_remote(place):
            return RemoteStore(address)
    except UnavailableError as error:
        raise StoreError(str(error)) from None
    return LocalStore(Path(place), addresses.shown(place))


class LocalStore:
    """A folder."""

    threads = 4  # each file is synced, which is waited for

    def __init__(self, folder: Path, shown: str) -> None:
        self.shown = shown
        self._folder = folder

    def size(self, name: str) -> int | None:
        """See Store."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failed(f"cannot look for {name} in {self.shown}", error) from error

    def put(self, path: Path, name: str) -> None:
        """See Store."""
        final = self._folder / name
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            files.sync_names(path)  # of a file: its bytes
            path.replace(final)
            files.sync_names(final.parent)
        except OSError as error:
            raise failed(f"cannot write {name} in {self.shown}", error) from error

    @contextlib.contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """See Store."""
        path = self._folder / name
        if not path.is_file():
            raise absent(name, self.shown)
        yield path

    @contextlib.contextmanager
    def drafts(self) -> Iterator[Path]:
        """See Store."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(files.filling(self._folder))
            except OSError as error:
                raise failed(f"cannot write to {self.shown}", error) from error
            yield folder


class RemoteStore(Place):
    """What fsspec reaches."""

    threads = 16

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.shown = addresses.shown(address)

    def size(self, name: str) -> int | None:
        """See Store."""
        with _translated():
            try:
                found = self._ask(
                    f"look for {name} in", lambda: self._fs.info(self._at(name)), absent=True
                )
            except FileNotFoundError:
                return None
        return None if found.get("type") == "directory" else found.get("size")

    def put(self, path: Path, name: str) -> None:
        """See Store."""
        with _translated():
            if self.flat:
                return self._put(path, name)
            part = f"{name}.{uuid.uuid4().hex[:8]}.part"
            self._put(path, part)
            self._ask(f"write {name} in", lambda: self._fs.mv(self._at(part), self._at(name)))

    @contextlib.contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """See Store."""
        with self.drafts() as folder:
            path = folder / uuid.uuid4().hex
            with _translated():
                try:
                    self.fetch(name, path)
                except FileNotFoundError:
                    raise absent(name, self.shown) from None
            yield path

    @contextlib.contextmanager
    def drafts(self) -> Iterator[Path]:
        """See Store."""
        folder = Path(tempfile.mkdtemp(prefix="hpo-data-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def absent(name: str, shown: str) -> StoreError:
    """What is said of a file that a store has not."""
    return StoreError(f"there is no {name} in {shown}: it was deleted, or the store was moved")


def failed(what: str, error: OSError) -> StorageError:
    """What is said of a file that cannot be written or read."""
    kind = DiskFullError if disk_is_full(error) else StoreError
    return kind(f"{what}: {error.strerror or os.strerror(error.errno or 0)}")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """A store's errors as those that the command line shows."""
    try:
        yield
    except UnavailableError as error:
        raise StoreError(str(error)) from None
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise failed("the store cannot be written to", error) from error
