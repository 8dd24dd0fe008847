"""`hpo data stats|verify|materialize`: what a dataset is like, whether it is to be trusted, its images as files.

It takes every dataset that a study may name, ours or not, with the options that a study would give it. What is slow to
import stands in the functions' bodies.
"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hpo_core import Component, Dataset
    from hpo_vision.inspection.statistics import Statistics

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="As `hpo list datasets` says.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[option=value ...]", help="Options, as in a study file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def stats(
    name: Name,
    overrides: Overrides = None,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png", metavar="FILE", help="Draw samples of each class there.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Images of each class and part, sizes, mean and deviation, images that are there twice, broken ones."""
    from hpo_core.commands import UsageError, read_component

    component = read_component("datasets", name, overrides or [])
    try:
        dataset = component.build(0)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    from hpo_vision.inspection.statistics import statistics_of

    found = statistics_of(dataset)
    if png is not None:
        from hpo_vision.inspection.sheet import sheet

        sheet(dataset).save(png)
    if json:
        return _print_json({"dataset": name, "options": component.options} | found.document())
    _print_statistics(found)


def verify(
    name: Name,
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count, too.")] = False,
    json: Json = False,
) -> None:
    """Read every image; exit code 1 and a list where the dataset is not to be trusted.

    Errors: what cannot be read, the same image in several parts, a class without an image to train on, files that are
    not those of the folder's manifest. Warnings: labels that training does not know, images that are there twice or
    are nearly the same in several parts, classes with ten times the images of others.
    """
    from hpo_core.commands import read_component

    component = read_component("datasets", name, overrides or [])
    errors, warnings, images = _judged(component)
    fine = not errors and not (strict and warnings)
    if json:
        _print_json(
            {
                "dataset": name,
                "fine": fine,
                "images": images,
                "errors": errors,
                "warnings": warnings,
            }
        )
    else:
        for title, texts in (("error", errors), ("warning", warnings)):
            for text in texts:
                print(f"{title}: {text}")
        print(f"{name}: {'fine' if fine else 'not fine'}, {images} images read")
    if not fine:
        raise typer.Exit(1)


def _judged(component: Component) -> tuple[list[str], list[str], int]:
    """Errors, warnings, and how many images there are."""
    try:
        dataset = component.build(0)
    except (ValueError, OSError) as error:
        return [str(error)], [], 0
    from hpo_vision.inspection.manifest import differences
    from hpo_vision.inspection.statistics import statistics_of

    found = statistics_of(dataset)
    path = component.options.get("path")
    changed = differences(Path(path).expanduser()) if isinstance(path, str) else []
    images = sum(sum(part.counts) for part in found.parts.values())
    return [*changed, *found.errors()], found.warnings(), images


def materialize(
    name: Name,
    to: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="A new folder.", show_default=False)
    ],
    overrides: Overrides = None,
) -> None:
    """Write a dataset's images as files, whole or not at all, with a manifest of their checksums.

    As the dataset itself would have them where it knows; else as PNG at the size that models get, in the layout of
    image-folder, or of jsonl where a class cannot be a folder's name.
    """
    from hpo_core.commands import UsageError, read_component

    component = read_component("datasets", name, overrides or [])
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to} is there already: give a new folder, or delete it")
    from hpo_vision.inspection import manifest, materializing

    own = component.trait("materialize", None)
    try:
        dataset = None if own is not None else _built(component)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    try:
        if dataset is None:
            own(to, component.options)
        else:
            materializing.write(dataset, to)
        count = manifest.write(to, name, component.options)
    except OSError as error:
        raise UsageError(f"cannot write {to}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(f"{to}: {count} files")


def _built(component: Component) -> Dataset:
    dataset: Dataset = component.build(0)
    return dataset


def _print_statistics(found: Statistics) -> None:
    _print_table(found)
    for part, each in found.parts.items():
        about = each.document(found.classes)
        print(f"\n{part}: {about['images']} images", end="")
        if about["imbalance"]:
            print(f", the largest class {about['imbalance']:.3g} times the smallest", end="")
        print()
        if about["mean"]:
            small, middle, large = (f"{size[0]:g}x{size[1]:g}" for size in about["sizes"].values())
            print(f"  width and height: {small} to {large}, median {middle}")
            print(f"  mean {_numbers(about['mean'])}, standard deviation {_numbers(about['std'])}")
        for error in each.broken:
            print(f"  {error}")
    for title, texts in (
        ("the same image in several parts", found.leaks()),
        ("the same image twice in a part", found.repeated()),
        ("nearly the same image in several parts", found.alike()),
        ("remarks", found.remarks),
    ):
        if texts:
            print(f"\n{title}: {len(texts)}")
        for text in texts[:20]:
            print(f"  {text}")
    for name, members in found.groups.items():
        print(f"\ngroup {name}: {', '.join(members)}")


def _print_table(found: Statistics) -> None:
    """The images of each class in each part, and what an epoch draws of them."""
    columns = {part: each.counts for part, each in found.parts.items()} | (
        {"an epoch draws": found.drawn} if found.drawn else {}
    )
    width = max(len("class"), *(len(repr(name)) for name in found.classes))
    print(f"{'class':<{width}}  " + "  ".join(f"{title:>7}" for title in columns))
    for label, name in enumerate(found.classes):
        cells = (f"{counts[label]:>{max(7, len(title))}}" for title, counts in columns.items())
        print(f"{name or repr(name):<{width}}  " + "  ".join(cells))


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _print_json(value: Any) -> None:
    print(json_module.dumps(value, indent=2, default=repr))
