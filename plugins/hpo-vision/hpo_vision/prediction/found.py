"""Which files are meant: images, folders and patterns as a person gives them, in an order that is always the same.

Nothing here opens a file. What is named is tried, whatever it is called; in a folder only what is called like an image
is, and the rest is counted. Paths come one after the other, so that a hundred thousand of them in
a folder need no memory.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hpo_core.commands import UsageError
from hpo_vision.datasets._folders import EXTENSIONS


@dataclass(frozen=True)
class Found:
    """A file to be read, or why there is none at this path."""

    path: str
    error: str | None = None


class Search:
    """Looks for what `words` name. `left_out` counts files of folders that are not called like an image."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(words)
        self.left_out = 0

    def __iter__(self) -> Iterator[Found]:
        """Yield what each word names, in the order of the words, and within a folder or a pattern by name.

        What is named twice comes once. A single word names nothing twice, so only with several are paths remembered.
        """
        self.left_out = 0
        folders: set[tuple[int, int]] = set()
        told: set[str] = set()
        for word in self._words:
            for found in self._named(word, folders):
                if len(self._words) > 1:
                    path = str(Path(found.path).absolute())
                    if path in told:
                        continue
                    told.add(path)
                yield found

    def _named(self, word: str, folders: set[tuple[int, int]]) -> Iterator[Found]:
        if os.path.isdir(word):
            yield from self._below(word, folders)
        elif os.path.lexists(word):
            yield Found(word)
        elif glob.has_magic(word):
            yield from self._matching(word, folders)
        else:
            yield Found(word, "no such file or directory")

    def checked(self) -> Search:
        """This search. Raises UsageError where there are no words, or they name nothing at all."""
        if not self._words:
            raise UsageError("no path was given: give images, folders or patterns such as '*.png'")
        if next(iter(self), None) is None:
            raise UsageError(
                f"there is no image in {', '.join(self._words)}: what is in folders is called like one "
                "(.png, .jpg, ...)"
            )
        return self

    def _matching(self, pattern: str, folders: set[tuple[int, int]]) -> Iterator[Found]:
        paths = _anywhere(pattern) if "**" in pattern else sorted(glob.glob(pattern))
        if not paths:
            yield Found(pattern, "no file is called like that")
        for path in paths:
            if not os.path.isdir(path):
                yield Found(path)
            elif "**" not in pattern:  # which finds what is in folders by itself
                yield from self._below(path, folders)

    def _below(self, root: str, seen: set[tuple[int, int]]) -> Iterator[Found]:
        """The images in a folder and below it; each folder once, so that links which lead in circles end.

        Without recursion: folders may be nested deeper than functions.
        """
        pending = [iter([root])]
        while pending:
            path = next(pending[-1], None)
            if path is None:
                pending.pop()
            elif os.path.isdir(path):
                try:
                    pending.append(iter(_content(path, seen)))
                except OSError as error:
                    yield Found(path, (error.strerror or str(error)).lower())
            elif path.lower().endswith(EXTENSIONS):
                yield Found(path)
            else:
                self.left_out += 1


def _anywhere(pattern: str) -> list[str]:
    """The paths that a pattern with `**` names, sorted; names that begin with a dot only where it says so.

    `**` follows no links to folders. `glob` would: two that lead upwards from one folder cost it 2^40 steps.
    """
    words = [word if word == "**" else re.sub(r"\*+", "*", word) for word in pattern.split(os.sep)]
    if words[-1] in ("**", ""):
        words[-1:] = ["**", "*"]
    start = Path(os.sep if pattern.startswith(os.sep) else "")
    named = [word for word in words if word.startswith(".")]
    found = set(start.glob(os.sep.join(word for word in words if word)))
    return sorted(str(path) for path in found if not _hidden(path, named))


def _hidden(path: Path, named: list[str]) -> bool:
    return any(
        part.startswith(".") and not any(fnmatch.fnmatchcase(part, word) for word in named)
        for part in path.parts
    )


def _content(folder: str, seen: set[tuple[int, int]]) -> list[str]:
    """The paths in a folder, sorted by name; none where it was seen before."""
    status = os.stat(folder)
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return []
    seen.add(key)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
