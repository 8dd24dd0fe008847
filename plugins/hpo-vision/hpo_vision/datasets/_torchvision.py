"""Opens torchvision's sets: the half of `torchvision_sets` that imports torchvision.

A worker's trials share a set that has been opened.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
from filelock import FileLock
from PIL import Image
from torchvision import datasets

from hpo_core import Part
from hpo_vision.datasets.found import PARTS, FoundPictures
from hpo_vision.datasets.groups import Groups
from hpo_vision.datasets.pictures import plain
from hpo_vision.datasets.splits import Indices, halves, split
from hpo_vision.datasets.torchvision_table import Source


@dataclass(frozen=True)
class Opened:
    """The images of some of torchvision's objects, one after the other."""

    title: str
    sets: tuple[Any, ...]
    starts: tuple[int, ...]

    def name(self, index: int) -> str:
        """Which image of the set it is."""
        which, inside = self._place(index)
        return f"{self.title}, image {inside} of {_part(self.sets[which])}"

    def picture(self, index: int) -> Image.Image:
        """The image. Raises ValueError, with its number, when it cannot be read."""
        which, inside = self._place(index)
        try:
            return plain(self.sets[which][inside][0])
        except MemoryError:
            raise
        except Exception as error:  # whatever readers stumble over
            raise ValueError(f"{self.name(index)} is not a readable image: {error}") from error

    def _place(self, index: int) -> tuple[int, int]:
        which = int(np.searchsorted(self.starts, index, side="right")) - 1
        return which, index - self.starts[which]


def _part(opened: Any) -> str:
    """A part of a set, as torchvision's object says it."""
    return " ".join(str(opened.extra_repr()).split()) or "the whole"


@functools.lru_cache(maxsize=1)
def find(
    title: str,
    source: Source,
    variant: str,
    root: str,
    download: bool,
    val_fraction: float,
    test_fraction: float,
    split_seed: int,
) -> tuple[FoundPictures, Groups]:
    """A set and the groups of its classes. Raises FileNotFoundError when it is not there, or not whole."""
    opened = {
        part: _open(title, source, arguments, Path(root).expanduser(), download)
        for part, arguments in source.variants[variant].items()
    }
    labels = {part: _labels(title, source, each) for part, each in opened.items()}
    starts = np.cumsum([0, *(len(each) for each in labels.values())])
    together = np.concatenate(list(labels.values()))
    divided = val_fraction, test_fraction, split_seed
    parts = _parts(
        title, source, dict(zip(labels, starts.tolist(), strict=False)), together, divided
    )
    names = _names(source, next(iter(opened.values())))
    pictures = Opened(title, tuple(opened.values()), tuple(starts[:-1].tolist()))
    found, classes = _compact(together, names, parts)
    return FoundPictures(pictures, found.tolist(), classes, parts), source.groups


def _open(
    title: str, source: Source, arguments: Mapping[str, Any], root: Path, download: bool
) -> Any:
    """One part, as torchvision's object."""
    make = getattr(datasets, source.name)
    given = dict(arguments)
    if source.name not in _TAKES_NO_DOWNLOAD:
        given["download"] = False
    try:
        if download and source.downloads:
            _download(title, make, {**given, "download": True}, root)
        if not root.is_dir():
            raise FileNotFoundError("there is no such folder")
        return make(str(root), **given)
    except ConnectionError:
        raise
    except (RuntimeError, OSError, ValueError) as error:
        what = str(error).partition("You can use download=True")[0].strip().rstrip(".")
        how = (
            "or download it with `download: true`"
            if source.downloads
            else "where you have put it: torchvision cannot download it"
        )
        raise FileNotFoundError(
            f"dataset '{title}' is not in {root.absolute()}, or not whole ({what}): "
            f"say with `root` where it is, {how}"
        ) from error


def _download(title: str, make: Any, given: Mapping[str, Any], root: Path) -> None:
    """Let torchvision download what is missing, in one worker at a time: those of a study start at once."""
    root.mkdir(parents=True, exist_ok=True)
    lock = root / ".hpo-download.lock"
    lock.touch()  # where no file can be (in /proc, say) filelock would try for ever
    with FileLock(lock):
        try:
            make(str(root), **given)
        except (RuntimeError, URLError) as error:
            raise ConnectionError(
                f"dataset '{title}' cannot be downloaded into {root.absolute()}: {error}"
            ) from error


_TAKES_NO_DOWNLOAD = ("FER2013", "ImageNet")


def _labels(title: str, source: Source, opened: Any) -> Indices:
    """The label of every image, compared with what torchvision says of the first."""
    if source.labels == "h5":
        found = _of_h5(opened)
    else:
        found = getattr(opened, source.labels)
        if source.column is not None:
            found = [row[source.column] for row in found]
    if any(label is None for label in found):
        raise FileNotFoundError(
            f"dataset '{title}': {_part(opened)} has no labels in these files ({source.about})"
        )
    labels = np.asarray(found, dtype=np.int64)
    image, label = opened[0]
    image.close()
    if len(labels) != len(opened) or label != labels[0]:
        raise ValueError(
            f"dataset '{title}': this version of torchvision keeps labels somewhere else than in "
            f"{source.name}.{source.labels}: take one that hpo-vision was tested with"
        )
    return _merged(title, source, opened)[labels] if source.merged else labels


def _merged(title: str, source: Source, opened: Any) -> Indices:
    """The number here of each of torchvision's classes."""
    number = {name: each for each, names in enumerate(source.merged.values()) for name in names}
    try:
        return np.array([number[name] for name in opened.classes])
    except KeyError as error:
        raise ValueError(f"dataset '{title}': nobody knows what a {error} is") from None


def _of_h5(opened: Any) -> Sequence[int]:
    """PCAM's labels, which torchvision reads one by one."""
    file = opened._base_folder / opened._FILES[opened._split]["targets"][0]
    with opened.h5py.File(file) as content:
        labels: Sequence[int] = content["y"][:, 0, 0, 0].astype(np.int64)
    return labels


def _names(source: Source, opened: Any) -> tuple[str, ...]:
    """The classes' names in the order of torchvision's labels; of several names all."""
    if source.merged:
        return tuple(source.merged)
    if isinstance(source.classes, tuple):
        return source.classes
    found = getattr(opened, source.classes)
    return tuple(name if isinstance(name, str) else ", ".join(name) for name in found)


def _parts(
    title: str,
    source: Source,
    starts: Mapping[str, int],
    labels: Indices,
    divided: tuple[float, float, int],
) -> dict[Part, Indices]:
    """Which images are in which part; what the set does not divide is divided by fractions."""
    ends = [*list(starts.values())[1:], len(labels)]
    own = {
        part: np.arange(start, end) for (part, start), end in zip(starts.items(), ends, strict=True)
    }
    val_fraction, test_fraction, seed = divided
    try:
        if "all" in own:
            counts = np.bincount(labels)
            enough = own["all"][counts[labels] >= source.least]
            inside = split(labels[enough].tolist(), val_fraction, test_fraction, seed)
            return {part: enough[indices] for part, indices in inside.items()}
        if "val" not in own:
            train, val = halves(labels[own["train"]].tolist(), val_fraction, seed)
            own["train"], own["val"] = own["train"][train], own["train"][val]
    except ValueError as error:
        raise ValueError(f"dataset '{title}': cannot divide it: {error}") from error
    return {part: own[part] for part in PARTS}


def _compact(
    labels: Indices, names: tuple[str, ...], parts: Mapping[Part, Indices]
) -> tuple[Indices, tuple[str, ...]]:
    """Labels and names of the classes that there are images of to train on, in torchvision's order."""
    used = np.unique(labels[parts["train"]])
    number = np.full(max(len(names), int(labels.max()) + 1), -1)
    number[used] = np.arange(len(used))
    for part in parts:
        if (number[labels[parts[part]]] < 0).any():
            raise ValueError(f"part {part} has labels that train does not have")
    return number[labels], tuple(names[label] for label in used)
