"""Where datasets' files lie: the attribute `location` of their factories, which tells the version of the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def folder(options: Mapping[str, Any]) -> str:
    """The `location` of a dataset whose option `path` is its folder."""
    return str(options["path"])


def folder_of_table(options: Mapping[str, Any]) -> str:
    """The `location` of a dataset whose option `path` is a table, in whose folder the images lie."""
    return str(Path(options["path"]).parent)


def root(options: Mapping[str, Any]) -> str:
    """The `location` of torchvision's sets, of which a folder may hold several."""
    return str(options["root"])
