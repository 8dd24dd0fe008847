"""What the commands of `hpo models` have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli.wording import clean
from hpo_core.errors import UsageError

if TYPE_CHECKING:
    from hpo_core.registry.registry import Registry

Reference = Annotated[
    str,
    typer.Argument(
        metavar="NAME@REF",
        help="A version: NAME is the newest, NAME@3 by its number, NAME@production by an alias.",
        show_default=False,
    ),
]


def opened(storage: str) -> Registry:
    """The registry of a database; what it needs is slow to import."""
    from hpo_core.registry.registry import Registry

    return Registry.open(storage)


def pairs(words: Iterable[str]) -> dict[str, str]:
    """`key=value` words. Raises UsageError for one that is none."""
    found = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise UsageError(f"'{word}' is no tag: write KEY=VALUE")
        found[key] = value
    return found


def note_doubts(label: str, doubts: Iterable[str]) -> None:
    """Say on stderr which gates of a version were passed without its interval excluding the contrary."""
    for said in doubts:
        about = f"model {label} meets success_criteria, but not surely: {said}"
        print(f"note: {clean(about)}", file=sys.stderr)


def clock(moment: float) -> str:
    """A time for people, as it is here."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    from hpo_core.cli.reading import print_json

    print_json(value)
