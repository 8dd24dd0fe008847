"""The files behind a URL that fsspec reaches.

A store's own mark of an object (an ETag, a generation, an MD5) is its stamp. One that has nothing but a time, which may
be of whole seconds and of another clock, has a stamp when that lies a while back; one without either has none, and its
files are read each time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from hpo_core import addresses
from hpo_core.addresses import UnavailableError
from hpo_core.datasets.entries import Found
from hpo_core.datasets.paths import IGNORED, fault_of
from hpo_core.datasets.sources import changed, refused
from hpo_core.errors import StoreError, UsageError
from hpo_core.remote import Place

MARKS = ("ETag", "etag", "md5Hash", "md5", "Content-MD5", "content_md5", "generation", "checksum")
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified")
SETTLED = 60.0
"""Seconds after which a time is taken for that of the last change."""

BLOCK = 8 << 20
THREADS = 16


class RemoteFiles(Place):
    """Implements `hpo_core.datasets.sources.Source`."""

    threads = THREADS

    def __init__(self, address: str) -> None:
        try:
            super().__init__(address)
        except UnavailableError as error:
            raise StoreError(str(error)) from None
        self.shown = addresses.shown(address)
        where = addresses.without_user(addresses.resolved(address))
        self.key = hashlib.sha256(where.encode()).hexdigest()

    def listed(self) -> Iterator[Found]:
        """See Source."""
        self._fs.invalidate_cache()
        try:
            listed = self._ask("list", lambda: self._fs.find(self._path, detail=True))
        except UnavailableError as error:
            raise StoreError(str(error)) from None
        inside = f"{self._path.rstrip('/')}/"
        if not listed or set(listed) == {self._path}:
            what = "is a file: name its folder" if listed else "is not there, or holds no file"
            raise UsageError(f"{self.shown} {what}")
        now = time.time()
        for at in sorted(listed):
            path = at.removeprefix(inside)
            about = listed[at]
            if about.get("type") != "directory" and not IGNORED.intersection(path.split("/")):
                yield self._found(path, about, now)

    def _found(self, path: str, about: Mapping[str, Any], now: float) -> Found:
        said = fault_of(path)
        if said is not None:
            raise refused(self.shown, path, said)
        if about.get("islink"):
            raise refused(self.shown, path, "it is a link, which only a folder's path may hold")
        if about.get("size") is None:
            raise refused(self.shown, path, "the store does not tell its size")
        return Found(path, int(about["size"]), _stamp(about, now))

    def chunks(self, found: Found) -> Iterator[bytes]:
        """See Source."""
        read = 0
        try:
            for chunk in self._chunks(found):
                read += len(chunk)
                yield chunk
        except FileNotFoundError:
            raise refused(self.shown, found.path, "it was deleted") from None
        except UnavailableError as error:
            raise StoreError(str(error)) from None
        if read != found.size:
            raise changed(self.shown, found.path)

    def _chunks(self, found: Found) -> Iterator[bytes]:
        if found.size <= BLOCK:
            yield self.read(found.path)
            return
        at, what = self._at(found.path), f"read {found.path} in"
        file = self._ask(
            what, lambda: self._fs.open(at, "rb", block_size=BLOCK, cache_type="readahead"), True
        )
        with file:
            while chunk := self._ask(what, lambda: file.read(BLOCK)):
                yield chunk


def _stamp(about: Mapping[str, Any], now: float) -> str | None:
    for name in MARKS:
        if about.get(name):
            return f"{name} {about[name]}"
    for name in TIMES:
        moment = _seconds(about.get(name))
        if moment is not None:
            return f"{name} {moment!r}" if now - moment > SETTLED else None
    return None


def _seconds(moment: Any) -> float | None:
    if isinstance(moment, datetime):
        return moment.timestamp()
    if isinstance(moment, str):
        try:
            return datetime.fromisoformat(moment).timestamp()
        except ValueError:
            return None
    return float(moment) if isinstance(moment, int | float) else None
