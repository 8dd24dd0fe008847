"""`hpo extract`: a study file from plain text, by rules."""

from __future__ import annotations

import json as json_module
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hpo_core import plugins
from hpo_core.cli.arguments import Json
from hpo_core.errors import UsageError

MOST_BYTES = 1_000_000


def extract(
    source: Annotated[
        str,
        typer.Argument(metavar="TEXT|FILE", help="A file, - for standard input, or a text itself."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the study here, not to stdout."),
    ] = None,
    lr_min: Annotated[
        float, typer.Option(min=0.0, help="Smaller learning rates are raised to this one.")
    ] = 1e-4,
    lr_max: Annotated[
        float, typer.Option(min=0.0, help="Larger learning rates are lowered to this one.")
    ] = 1.0,
    objective: Annotated[
        str | None, typer.Option(metavar="NAME", help="The objective, if several would do.")
    ] = None,
    json: Json = False,
) -> None:
    """Find model, learning rate, LR scheduler, epochs, dataset, batch size and optimizer in a text.

    Prints a study that validates, and on standard error where each value was found and what was passed over for it.
    """
    from hpo_core.extraction.study import extract as extracted
    from hpo_core.extraction.study import told

    if not 0 < lr_min <= lr_max:
        raise UsageError(
            f"--lr-min {lr_min:g} and --lr-max {lr_max:g} are no range of learning rates"
        )
    if output is not None and output.exists():
        raise UsageError(f"{output} is there already: name another file")
    text, name = _read(source)
    catalog, _ = plugins.load_enabled()
    found = extracted(text, catalog, name=name, objective=objective, lowest=lr_min, highest=lr_max)
    if output is not None:
        _write(output, found.text)
    if json:
        print(json_module.dumps(found.to_json()))
        return
    for each, finding in found.found.items():
        for line in told(each, finding):
            print(line.removeprefix("  "), file=sys.stderr)
    for note in found.notes:
        print(f"note: {json_module.dumps(note)[1:-1]}", file=sys.stderr)
    if output is None:
        print(found.text, end="")
    else:
        print(f"wrote {output}", file=sys.stderr)


def _read(source: str) -> tuple[str, str]:
    """The text, and what to call its study. Raises UsageError for a file that cannot be read."""
    if source == "-":
        return _decoded(sys.stdin.buffer.read(MOST_BYTES), "standard input"), ""
    try:
        path = Path(source)
        if path.is_file():
            with path.open("rb") as file:
                return _decoded(file.read(MOST_BYTES), source), path.stem
    except (OSError, ValueError) as error:  # a text is no path, and may be too long for one
        if "\n" not in source and len(source) < 200 and not isinstance(error, ValueError):
            raise UsageError(f"cannot read {source}: {error}") from None
    if not any(char.isspace() for char in source) and path_like(source):
        raise UsageError(f"there is no file {source}")
    return source, ""


def path_like(word: str) -> bool:
    """Whether a single word was meant as a file."""
    return Path(word).suffix in (".txt", ".md", ".yaml", ".yml", ".json", ".log", ".py", ".prompt")


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8: byte {error.start} cannot be read") from None


def _write(path: Path, text: str) -> None:
    """The file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
