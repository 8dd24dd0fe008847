"""What the commands of `hpo data` have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpo_core.datasets.datasets import Datasets

DataReference = Annotated[
    str,
    typer.Argument(
        metavar="NAME@REF",
        help="A version: NAME is the newest, NAME@3 by its number, NAME@clean by a tag.",
        show_default=False,
    ),
]
Dataset = Annotated[
    str, typer.Argument(metavar="NAME", help="The dataset's name.", show_default=False)
]
Address = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="A folder, or any URL that fsspec reaches.", show_default=False
    ),
]


def amount(size: int) -> str:
    """A number of bytes for people: `312 B`, `4.1 KiB`, `2.0 GiB`."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def opened(storage: str, new: bool = False) -> Datasets:
    """The dataset versions of a database; what they need is slow to import."""
    from hpo_core.datasets.datasets import Datasets

    return Datasets.open(storage, new=new)
