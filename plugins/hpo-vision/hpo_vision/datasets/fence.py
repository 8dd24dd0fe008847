"""Keeps the paths of images that annotations name below a folder."""

from __future__ import annotations

import functools
import os
import stat
from pathlib import Path


class Fence:
    """Finds files below `root`, and no others."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._real = functools.lru_cache(maxsize=4096)(
            os.path.realpath
        )  # of folders: rows share them

    def path(self, name: str, folder: Path) -> str:
        """The file `name`, from `folder`, with all links resolved.

        Raises ValueError when it is absolute, has `..`, leads out of the root by a link, or is not there.
        """
        if not name or "\0" in name:
            raise ValueError(
                "the image has no name" if not name else "the image's name has a zero byte"
            )
        if os.path.isabs(name):
            raise ValueError(
                f"the image's path must start from the annotations' folder: {name!r} is absolute"
            )
        if ".." in name.split("/"):
            raise ValueError(
                f"the image's path must stay below the dataset's folder: {name!r} has '..'"
            )
        try:
            return self._inside(name, os.path.join(folder, name))
        except (OSError, UnicodeEncodeError) as error:
            reason = getattr(error, "strerror", None) or "the name cannot be a file's"
            raise ValueError(f"there is no image {name!r}: {reason.lower()}") from None

    def _inside(self, name: str, path: str) -> str:
        above, _, last = path.rstrip("/").rpartition("/")
        found = os.path.join(self._real(above), last)
        mode = os.lstat(found).st_mode
        if stat.S_ISLNK(mode):
            found = os.path.realpath(found, strict=True)
            mode = os.stat(found).st_mode
        if not found.startswith(os.path.join(self._root, "")):
            raise ValueError(f"the image {name!r} is a link that leads out of the dataset's folder")
        if not stat.S_ISREG(mode):
            raise ValueError(f"the image {name!r} is no file")
        return found
