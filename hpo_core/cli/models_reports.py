"""The commands of `hpo models` that make something of versions: comparisons, lineages, cards, what happened."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.models_arguments import Reference, clock, opened, print_json
from hpo_core.cli.tables import print_table, terminal_width, wrapped
from hpo_core.cli.wording import clean, number, size
from hpo_core.errors import StorageError, UsageError

if TYPE_CHECKING:
    from hpo_core.registry.comparison import Pair
    from hpo_core.registry.measured import Measured


def add_to(app: typer.Typer) -> None:
    """Make these commands part of a group."""
    for function in (compare, lineage, card, log):
        app.command()(function)


def compare(
    first: Reference,
    second: Reference,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Two versions side by side: metrics with intervals, options, classes, size."""
    found = opened(storage).compare(first, second)
    if json:
        return print_json(found.to_json())
    labels = found.first.label, found.second.label
    for part in dict.fromkeys(pair.part for pair in found.metrics):
        pairs = [pair for pair in found.metrics if pair.part == part]
        print_table((part, *labels, "difference"), [row for p in pairs for row in _metric(p)])
        print()
    print_table(("files", *labels), [("size", *map(_size, found.sizes))])
    for title, table in (("option", found.options), ("recall of", found.classes)):
        if table:
            print()
            print_table(
                (title, *labels), [(name, *map(_cell, both)) for name, both in table.items()]
            )


def _metric(pair: Pair) -> Iterator[tuple[Any, ...]]:
    """The values, and their intervals in a row of their own: beside them they are too wide for a terminal."""
    both = pair.first, pair.second
    yield pair.name, *(each and number(each.value) for each in both), number(pair.difference)
    if any(each is not None and each.low is not None for each in both):
        apart = {None: None, True: "apart", False: "overlap"}[pair.apart]
        yield f"{pair.name}, interval", *map(_interval, both), apart


def _interval(measured: Measured | None) -> str | None:
    if measured is None or measured.low is None:
        return None
    return f"{number(measured.low)} to {number(measured.high)}"


def _size(number_of_bytes: int | None) -> str | None:
    return None if number_of_bytes is None else size(number_of_bytes)


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    return number(value) if isinstance(value, float) else str(value)


def lineage(reference: Reference, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """What a version was made with, back to data and code."""
    found = opened(storage).lineage(reference)
    if json:
        return print_json(found.to_json())
    for line in found.lines():
        indent = len(line) - len(line.lstrip())
        print("\n".join(wrapped(f"{' ' * indent}{clean(line)}", terminal_width())))


def card(
    reference: Reference,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there instead of stdout."),
    ] = None,
    attach: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="First make this Markdown what it begins with."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """The model card of a version, in Markdown."""
    registry = opened(storage)
    if attach is not None:
        registry.tag(reference, {"description": _read(attach)})
    text = registry.card(reference)
    if output is None:
        return print(text, end="")
    _write(output, text)
    print(f"wrote {output}", file=sys.stderr)


def _write(path: Path, text: str) -> None:
    """A file that appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"cannot read {path}: {reason}") from error


def log(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model.", show_default=False)],
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """What happened to a model: registered, promoted, archived, tagged, deleted."""
    found = opened(storage).log(name)
    if json:
        from dataclasses import asdict

        return print_json([asdict(each) for each in found])
    rows = [
        (clock(each.time), each.version, each.what["event"], _details(each.what)) for each in found
    ]
    print_table(("time", "version", "event", ""), rows)


def _details(what: Any) -> str:
    """All but what is long, which `--json` says."""
    said = {key: value for key, value in what.items() if key != "event"}
    short = {
        key: it for key, it in said.items() if it not in (None, "") and not isinstance(it, dict)
    }
    return ", ".join(f"{key} {value}" for key, value in short.items())
