"""Files by their paths, and two lists of them side by side.

Every list of files is sorted by path and read from its beginning to its end, so that a folder of a million files needs
no more memory than one of ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

BATCH = 64
"""Files that each of several threads has before it."""


class Named(Protocol):
    """Something in a sorted list."""

    @property
    def path(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A file where it lies. `path` is relative, with `/`.

    `stamp` is what another content of the same size would change: times, or the store's own mark. None: there is
    nothing that could be relied on, so the file must be read to know it.
    """

    path: str
    size: int
    stamp: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a version: its `size` in bytes and its `sha256` in hex."""

    path: str
    size: int
    sha256: str


L = TypeVar("L", bound=Named)
R = TypeVar("R", bound=Named)
T = TypeVar("T")
U = TypeVar("U")


def joined(left: Iterable[L], right: Iterable[R]) -> Iterator[tuple[L | None, R | None]]:
    """Two sorted lists side by side: what is in one of them alone stands beside None."""
    lefts, rights = iter(left), iter(right)
    one, other = next(lefts, None), next(rights, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.path < other.path):
            yield one, None
            one = next(lefts, None)
        elif one is None or other.path < one.path:
            yield None, other
            other = next(rights, None)
        else:
            yield one, other
            one, other = next(lefts, None), next(rights, None)


def each(act: Callable[[T], U], items: Iterable[T], threads: int) -> Iterator[U]:
    """What `act` makes of each item, in order, by several threads; only so many items as they need are drawn."""
    if threads == 1:
        yield from map(act, items)
        return
    iterator = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(islice(iterator, BATCH * threads)):
            yield from pool.map(act, batch)
