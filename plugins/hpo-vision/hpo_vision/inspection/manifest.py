"""A folder's `manifest.json`: the SHA-256 of every file in it, so that a change is seen."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "manifest.json"


def write(folder: Path, dataset: str, options: Mapping[str, Any]) -> int:
    """Write the manifest of what is in a folder; how many files that is."""
    files = _files(folder)
    content = {"dataset": dataset, "options": dict(options), "files": files}
    unfinished = folder / f".{NAME}"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, default=repr)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / NAME)
    return len(files)


def differences(folder: Path) -> list[str]:
    """What is not as the folder's manifest says, file by file; nothing where there is no manifest."""
    manifest = folder / NAME
    if not manifest.is_file():
        return []
    try:
        told = dict(json.loads(manifest.read_bytes())["files"])
    except (ValueError, KeyError, TypeError):
        return [f"{manifest} is no manifest of `hpo data materialize`"]
    found = _files(folder)
    return [
        *(f"{manifest}: {name} is missing" for name in sorted(told.keys() - found.keys())),
        *(f"{manifest}: {name} is not in it" for name in sorted(found.keys() - told.keys())),
        *(
            f"{manifest}: {name} has changed"
            for name in sorted(told.keys() & found.keys())
            if told[name] != found[name]
        ),
    ]


def _files(folder: Path) -> dict[str, str]:
    """The checksums of all files but manifests and hidden ones, by their paths in the folder."""
    found: dict[str, str] = {}
    for here, _, names in os.walk(folder):
        for name in sorted(names):
            if name != NAME and not name.startswith("."):
                path = Path(here) / name
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                found[path.relative_to(folder).as_posix()] = digest
    return dict(sorted(found.items()))
