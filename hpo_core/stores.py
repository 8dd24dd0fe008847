"""A study's own folder among its checkpoints, where the study file names a place for them.

Its name is the study's and no other's (`hpo_core.record`), so nothing here ever looks outside it. Below it each attempt
has a folder, `0003/attempt-2`, and in that each checkpoint.

What nobody needs any more is deleted while the study runs. In a store that takes a while, or a long one if it does not
answer, and workers must not wait for it: a thread of its own does it, and forgets what it fails to delete, because
every run begins and ends by removing what is there and not needed.
"""

from __future__ import annotations

import queue
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from hpo_core import addresses, checkpoints
from hpo_core.errors import StoreError
from hpo_core.faults import point
from hpo_core.remote import Place
from hpo_core.trial import Checkpoint

_PROBE = ".probe"
_LIES_IN = re.compile(r"(\d+)/attempt-(\d+)/[^/]+")
_ADDRESS = re.compile(rf".*/({_LIES_IN.pattern})$", re.DOTALL)

CLOSING = 20.0
"""Seconds that deletions may still take when a run is over; what is left is looked for then."""

LEAVING = 2.0
"""The same for a run that ends by an error or a second Ctrl-C, where the next run looks."""

REST = 60.0
"""Seconds for which a store that failed to delete is not asked again."""


def check(root: str) -> None:
    """Whether a study can keep checkpoints there: something is written, read and deleted. Raises StoreError."""
    text = secrets.token_bytes(16)
    try:
        if addresses.is_remote(addresses.resolved(root)):
            place = Place(root, waits=())
            place.write(_PROBE, text)
            found = place.read(_PROBE)
            place.remove_file(_PROBE)
        else:
            file = Path(addresses.resolved(root), _PROBE)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
            found = file.read_bytes()
            file.unlink()
    except OSError as error:
        said = error.strerror or error
        raise StoreError(f"checkpoints cannot be kept in {addresses.shown(root)}: {said}") from None
    if found != text:
        raise StoreError(
            f"checkpoints cannot be kept in {addresses.shown(root)}: what was written was not read again"
        )


def sweep(
    root: str, needed: Iterable[str], knows: Callable[[int, int], bool], waits: tuple[float, ...]
) -> None:
    """Delete the checkpoints that nobody needs: a crash came before their deletion, or before they were whole.

    `needed` are addresses, however they were spelt. What belongs to an attempt that this driver does not know
    (`knows(number, attempt)`) is another driver's, which has followed it. Raises OSError.
    """
    kept = {found[1] for address in needed if (found := _ADDRESS.match(address))}
    for relative in _folders(root, waits):
        found = _LIES_IN.fullmatch(relative)
        if found is None or relative in kept or not knows(int(found[1]), int(found[2])):
            continue
        point("checkpoint.delete")
        address = f"{root}/{relative}"
        if addresses.is_remote(addresses.resolved(root)):
            Place(address, waits).remove(seal=checkpoints.MANIFEST)
        else:
            shutil.rmtree(addresses.resolved(address), ignore_errors=True)


def _folders(root: str, waits: tuple[float, ...]) -> Iterable[str]:
    """What lies in the attempts' folders, whole or not, relative to the study's."""
    place = addresses.resolved(root)
    if not addresses.is_remote(place):
        return [str(path.relative_to(place)) for path in Path(place).glob("*/attempt-*/*")]
    parts = (file.split("/") for file in Place(root, waits).files())
    return dict.fromkeys("/".join(each[:3]) for each in parts if len(each) > 3)


class Disposal:
    """Deletes checkpoints; called with each that nobody needs any more, by the driver, which waits for no store.

    A context manager: leaving it waits for what is being deleted, for a while. Raises OSError for those on a disk.
    """

    def __init__(self) -> None:
        self._doomed: queue.SimpleQueue[Checkpoint | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.settle(LEAVING)

    def __call__(self, checkpoint: Checkpoint) -> None:
        if not addresses.is_remote(addresses.resolved(checkpoint.path)):
            return checkpoints.delete(checkpoint)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="disposal", daemon=True)
            self._thread.start()
        self._doomed.put(checkpoint)

    def settle(self, seconds: float = CLOSING) -> None:
        """Wait, so many seconds at most, until what was given is deleted or cannot be."""
        if self._thread is None:
            return
        self._doomed.put(None)
        self._thread.join(seconds)
        self._thread = None

    def _work(self) -> None:
        resting = 0.0  # until when; what is not deleted meanwhile is left to the end of the run
        while (checkpoint := self._doomed.get()) is not None:
            if time.monotonic() < resting:
                continue
            try:
                checkpoints.delete(checkpoint)
            except OSError:
                resting = time.monotonic() + REST
