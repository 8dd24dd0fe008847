"""The files of a folder that travels to a cluster: not too many, none that is hidden, none from outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hpo_core.commands import UsageError

MEBIBYTE = 2**20
MAX_BYTES = 64 * MEBIBYTE
"""Each node of the cluster unpacks it, and the head keeps it in memory."""

SHOWN = 3


def listed(folder: Path, without: str) -> dict[str, Path | str]:
    """The files of a folder by their place in it.

    Left out are hidden ones, caches, what lies in the folder `without`, and links to folders.
    Raises UsageError for a folder that is none, and for a link that leads outside.
    """
    if not folder.is_dir():
        raise UsageError(f"--working-dir {folder}: there is no such folder")
    root, left_out = folder.resolve(), Path(without).resolve()
    found: dict[str, Path | str] = {}
    waiting = [root]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            if (
                path.name.startswith(".")
                or path.name == "__pycache__"
                or path.resolve() == left_out
            ):
                continue
            if not path.resolve().is_relative_to(root):
                raise UsageError(f"{path} is a link to {path.resolve()}: nothing outside is packed")
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)
            elif path.is_file():
                found[path.relative_to(root).as_posix()] = path
    return found


def bounded(files: Mapping[str, Path | str]) -> None:
    """Raise UsageError, naming the largest files, when all of them are too much to send."""
    sizes = {place: path.stat().st_size for place, path in files.items() if isinstance(path, Path)}
    total = sum(sizes.values())
    if total <= MAX_BYTES:
        return
    largest = sorted(sizes, key=lambda place: -sizes[place])[:SHOWN]
    shown = ", ".join(f"{place} ({sizes[place] / MEBIBYTE:.0f} MiB)" for place in largest)
    raise UsageError(
        f"the job's folder would have {total / MEBIBYTE:.0f} MiB, of at most {MAX_BYTES / MEBIBYTE:.0f}: {shown}; put "
        "data where every node can read it and give its path in the study"
    )
