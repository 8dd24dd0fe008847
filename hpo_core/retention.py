"""Which checkpoints somebody may still need; the others are deleted as soon as that is durable.

Needed are the newest of every trial that is not finished (to continue from, with one more in case of damage), its best
one (which may turn out to be the study's), those of the best finished trials (which may be registered), and what a
clone has yet to be started from. What is needed follows from the history alone, so a driver that continues a study
comes to the same answer, and removes what a crash left behind.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpo_core.history import History, Progress, Standing
from hpo_core.trial import Checkpoint, Report


@dataclass(frozen=True)
class Keep:
    """How many checkpoints are kept: the `last` ones of each unfinished trial, those of the `best` finished trials.

    `paused` is how many of the paused trials (the best ones) keep theirs; a paused trial without begins again.
    """

    last: int = 2
    best: int = 1
    paused: int | Literal["all"] = "all"


class Retention:
    """Counts who needs a checkpoint, and tells which ones nobody needs any more. `score` as in History.

    A study of many paused trials has thousands of checkpoints, so only trials that have changed are looked at.
    """

    def __init__(self, keep: Keep, score: Callable[[Report], float]) -> None:
        self.keep = keep
        self._score = score
        self._held: dict[int, dict[str, Checkpoint]] = {}  # by trial: what it needs, by path
        self._holders: Counter[str] = Counter()
        self._champions: list[
            tuple[float, int]
        ] = []  # score and -number of the best finished trials
        self._changed: dict[int, Progress] = {}  # since the last release
        self._saved: dict[str, Checkpoint] = {}  # since the last release, by path

    def saved(self, checkpoint: Checkpoint) -> None:
        """A checkpoint has been reported."""
        self._saved[checkpoint.path] = checkpoint

    def update(self, progress: Progress) -> None:
        """A trial was started, has saved a checkpoint, or has paused."""
        self._changed[progress.number] = progress

    def finished(self, progress: Progress, succeeded: bool) -> None:
        """A trial is finished: its best checkpoint may be among those to keep."""
        self.update(progress)
        if not succeeded or progress.saved is None or progress.best is None:
            return
        # by what the trial has reached, as the study's best one is chosen: it may not have saved just that epoch
        heapq.heappush(self._champions, (self._score(progress.best), -progress.number))
        if len(self._champions) > self.keep.best:
            _, negative = heapq.heappop(self._champions)
            beaten = Progress(-negative, standing=Standing.FINISHED)  # what it saved is of no use
            self._changed.setdefault(beaten.number, beaten)

    def release(self, history: History) -> list[Checkpoint]:
        """Those that nobody needs any more, each told once."""
        if self.keep.paused != "all":
            self._changed |= history.unfinished
        candidates, self._saved = self._saved, {}
        champions = {-negative for _, negative in self._champions}
        favoured = self._favoured(history)
        for number, progress in self._changed.items():
            before = self._held.pop(number, {})
            now = _needs(progress, self.keep.last, champions, favoured)
            self._holders.update(now.keys() - before.keys())
            self._holders.subtract(before.keys() - now.keys())
            candidates |= before
            if now:
                self._held[number] = now
        self._changed = {}
        free = [each for path, each in candidates.items() if self._holders[path] <= 0]
        for checkpoint in free:
            del self._holders[checkpoint.path]
        return free

    def kept(self, progress: Progress) -> list[Checkpoint]:
        """What an attempt may continue from, newest first."""
        newest = progress.checkpoints[: self.keep.last]
        if self.keep.paused == "all":
            return newest
        held = self._held.get(progress.number, {})
        return [each for each in newest if each.path in held or each.path in self._saved]

    def needed(self) -> dict[str, Checkpoint]:
        """The checkpoints to keep, by path, as of the last release."""
        return {path: each for held in self._held.values() for path, each in held.items()}

    def _favoured(self, history: History) -> set[int] | None:
        """The paused trials that keep their checkpoints; None: all of them."""
        if self.keep.paused == "all":
            return None
        paused = [
            (self._score(each.best), -each.number)
            for each in history.unfinished.values()
            if each.standing is Standing.PAUSED and each.best is not None
        ]
        return {-negative for _, negative in heapq.nlargest(self.keep.paused, paused)}


def _needs(
    progress: Progress, last: int, champions: set[int], favoured: set[int] | None
) -> dict[str, Checkpoint]:
    """What must be kept for one trial, by path."""
    number, standing = progress.number, progress.standing
    best = None if progress.saved is None else progress.saved.checkpoint
    if standing is Standing.FINISHED:
        kept = [best] if number in champions else []
    elif standing is Standing.PAUSED and favoured is not None and number not in favoured:
        kept = []
    else:
        kept = [*progress.checkpoints[:last], best]
    return {each.path: each for each in kept if each is not None}


def located(path: str, trials: str) -> str:
    """Where a checkpoint lies whose study's trials are in the folder `trials` by now."""
    if path.startswith(trials):
        return path
    found = _IN_FOLDER.search(path)
    return path if found is None else f"{trials}{found[0]}"


_IN_FOLDER = re.compile(r"/\d+/attempt-\d+/checkpoints/[^/]+$")
"""The part of a checkpoint's path that the folder of the study's trials does not change."""


def strays(trials: Path, needed: dict[str, Checkpoint]) -> Iterator[Path]:
    """What lies in the checkpoint folders under `trials` and is not needed: a crash came before its deletion."""
    kept = {
        Path(path).resolve() for path in needed
    }  # the study's directory may be spelt in another way
    for folder in trials.resolve().glob("*/attempt-*/checkpoints/*"):
        if folder not in kept:
            yield folder
