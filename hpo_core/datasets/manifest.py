"""A manifest: the files of a version, one a line, in a file that is called by their root.

    {"hpo_manifest": 1}
    {"path": "train/cat/1.png", "size": 812, "sha256": "9f86d0..."}

The root is computed again whenever a manifest is read to its end, so one that was damaged, or another one under its
name, is never taken for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hpo_core.datasets.entries import Entry
from hpo_core.datasets.merkle import Tree
from hpo_core.datasets.paths import fault_of
from hpo_core.errors import StoreError

HEAD = {"hpo_manifest": 1}


def name_of(root: str) -> str:
    """Where the manifest of these files lies in a store."""
    return f"manifests/{root[:2]}/{root[2:]}.jsonl"


def begin(file: BinaryIO) -> None:
    """The first line of a new manifest."""
    write_line(file, HEAD)


def add(file: BinaryIO, entry: Entry) -> None:
    """The next file's line."""
    write_line(file, {"path": entry.path, "size": entry.size, "sha256": entry.sha256})


def write_line(file: BinaryIO, value: dict[str, Any]) -> None:
    """One line of JSON."""
    file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")


def read(path: Path, root: str) -> Iterator[Entry]:
    """The files of a manifest, sorted by path.

    Raises StoreError when it is not that of `root`, if only after the last file: nothing that is done with the files
    may be lasting before they have all been read.
    """
    tree = Tree()
    try:
        with path.open("rb") as file:
            if json.loads(file.readline()) != HEAD:
                raise ValueError
            for line in file:
                entry = Entry(**json.loads(line))
                if fault_of(entry.path) is not None:
                    raise ValueError
                tree.add(entry)
                yield entry
    except OSError as error:
        raise StoreError(f"cannot read the manifest {path}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if tree.root() != root:
        raise _damaged(path)


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"the manifest {path} is damaged: put it back from a copy, or register the same files again with --full"
    )
