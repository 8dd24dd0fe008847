"""Finds images that are there more than once: with the same pixels, or so alike that one may be made from the other.

What is in the training part and in another one too flatters a model, for it has seen the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from hpo_core import Part
from hpo_vision.datasets.walk import Seen

Cells = np.ndarray[Any, np.dtype[np.int16]]

BITS = 4
"""Bits of 64 in which the looks of images differ that may be alike."""
GREY = 5
"""How far 16 x 16 cells of such images are apart at most, on average, of 255."""


@dataclass
class Likenesses:
    """Images by their pixels and by their looks, added one by one."""

    _digests: dict[bytes, list[Seen]] = field(default_factory=dict)
    _looks: dict[Part, list[int]] = field(default_factory=dict)
    _cells: dict[Part, list[Cells]] = field(default_factory=dict)
    _names: dict[Part, list[str]] = field(default_factory=dict)

    def add(self, seen: Seen) -> None:
        """Note an image that could be read."""
        if seen.picture is None:
            return
        digest = _digest(seen.picture)
        known = self._digests.setdefault(digest, [])
        known.append(Seen(seen.part, seen.label, seen.name, None, None))
        if len(known) == 1:
            grey = seen.picture.convert("L")
            self._looks.setdefault(seen.part, []).append(look_of(grey))
            self._cells.setdefault(seen.part, []).append(_cells(grey, 16, 16))
            self._names.setdefault(seen.part, []).append(seen.name)

    def same(self) -> list[list[Seen]]:
        """The images with the same pixels, those with others left out; two rows of one file are one image."""
        return [group for group in self._digests.values() if len({each.name for each in group}) > 1]

    def alike(self) -> list[tuple[str, str]]:
        """Pairs of images of different parts that are nearly the same, by their names."""
        parts = list(self._looks)
        return [
            pair
            for place, part in enumerate(parts)
            for other in parts[place + 1 :]
            for pair in self._between(part, other)
        ]

    def _between(self, part: Part, other: Part) -> Iterator[tuple[str, str]]:
        looks = np.array(self._looks[part], dtype=np.uint64)
        for place, look in enumerate(self._looks[other]):
            for index in np.flatnonzero(np.bitwise_count(looks ^ np.uint64(look)) <= BITS):
                apart = np.abs(self._cells[part][index] - self._cells[other][place]).mean()
                if apart <= GREY:
                    yield self._names[part][index], self._names[other][place]


def _digest(picture: Image.Image) -> bytes:
    head = f"{picture.mode} {picture.size} ".encode()
    return hashlib.sha256(head + picture.tobytes()).digest()


def look_of(grey: Image.Image) -> int:
    """What an image looks like from afar, in 64 bits: where its grey falls from left to right.

    The difference hash, of 9 x 8 cells, with a threshold of one percent, below which it is noise.
    """
    cells = _cells(grey, 9, 8)
    bits = (cells[:, :-1] - cells[:, 1:] > 2).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _cells(grey: Image.Image, width: int, height: int) -> Cells:
    return np.asarray(grey.resize((width, height), Image.Resampling.BOX)).astype(np.int16)


def described(group: list[Seen], classes: Mapping[int, str]) -> str:
    """A group of images in one line: at most four names, and the labels where they differ."""
    names = [f"{each.part}: {each.name}" for each in group[:4]]
    more = f" and {len(group) - 4} more" if len(group) > 4 else ""
    labels = sorted({classes[each.label] for each in group})
    said = f" (labelled {', '.join(map(repr, labels))})" if len(labels) > 1 else ""
    return " = ".join(names) + more + said
