"""`hpo models import-lemur` and `export-lemur`: networks written for LEMUR, to be searched and to be given away.

What is slow to import stands in the functions' bodies.
"""

from __future__ import annotations

import json as json_module
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpo_models.lemur.code import Schedule

KIND = "lr_schedulers"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def import_lemur(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A network written for LEMUR.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="STUDY", help="Where to write it, not to stdout."),
    ] = None,
    allow_code: Annotated[
        bool,
        typer.Option("--allow-code", help="Import the file where it computes what it supports."),
    ] = False,
) -> None:
    """Write a study that searches just the hyperparameters which a LEMUR file supports."""
    from hpo_models.lemur.study import study_text

    names = _supported(file, allow_code)
    if output is None:
        sys.stdout.write(study_text(str(file), names, "STUDY"))
        return
    seen = os.path.relpath(file.resolve(), output.resolve().parent)
    _write(output, study_text(seen, names, str(output)))


def export_lemur(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `hpo list models` says.")],
    lr_scheduler: Annotated[
        str,
        typer.Option("--lr-scheduler", metavar="A0_00N", help="A0_001 to A0_035, or its name."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR|FILE", help="A folder, or a file ending in .py."
        ),
    ] = Path(),
    json: Json = False,
) -> None:
    """Write a model and an LR scheduler as one file for LEMUR, which runs on its own."""
    from hpo_models.lemur.code import source
    from hpo_models.lemur.models import construction

    schedule = _schedule(lr_scheduler)
    text = source(name, construction(name), schedule)
    file = output
    if output.suffix != ".py":
        file = output / f"{name.replace('/', '_')}_{schedule.number}.py"
    _write(file, text)
    if json:
        about = {"file": str(file), "model": name, "lr_scheduler": schedule.number}
        print(json_module.dumps(about | {"hyperparameters": schedule.hyperparameters}))


def _supported(file: Path, allow_code: bool) -> frozenset[str]:
    """What a file supports. Raises UsageError for all that is wrong with it, since it is the user's."""
    from hpo_core import HpoError
    from hpo_core.commands import UsageError
    from hpo_models.lemur.declaration import declared

    try:
        names = declared(file)
    except HpoError as error:
        raise UsageError(str(error)) from error
    if names is not None:
        return names
    if not allow_code:
        raise UsageError(
            f"{file.name} computes what it supports, so it must be imported, which runs it: give --allow-code"
        )
    return _computed(file)


def _computed(file: Path) -> frozenset[str]:
    from hpo_core import HpoError
    from hpo_core.commands import UsageError
    from hpo_models.lemur.file import opened

    try:
        with opened(str(file.resolve()), [str(Path.cwd())]) as network:
            return network.hyperparameters
    except HpoError as error:
        raise UsageError(str(error)) from error
    except Exception as error:  # the file may raise anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"{file} cannot be imported: {said}") from error


def _schedule(wanted: str) -> Schedule:
    """An LR scheduler of the catalogue under any of its names. Raises UsageError for one without a number."""
    from hpo_core.commands import UsageError, offered, read_component
    from hpo_models.lemur.code import NUMBERS, Schedule

    read_component(KIND, wanted)  # says what was probably meant
    about = next(each for each in offered(KIND) if wanted.rpartition(":")[2] in each.names)
    number = next((each for each in about.names if each in NUMBERS), None)
    if number is None:
        raise UsageError(
            f"'{wanted}' is none of {NUMBERS[0]} to {NUMBERS[-1]}: only these are exported"
        )
    plain = next((each for each in about.names if each != number), number)
    return Schedule(number, plain, about.defaults, about.ranges)


def _write(path: Path, text: str) -> None:
    """Write a new file; one that is there already stays, unless it says the same."""
    from hpo_core.commands import UsageError

    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UsageError(f"{path} is there already: name another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)
