"""`hpo data`: versions of the files that datasets read.

What makes and changes them is in `data_changes`, copies in `data_copies`, what used them in `data_usage`. Plugins add
words about the datasets themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli import data_changes, data_copies, data_usage
from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.data_arguments import Address, DataReference, Dataset, amount, opened
from hpo_core.cli.models_arguments import clock, print_json
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import clean
from hpo_core.errors import StoreError

if TYPE_CHECKING:
    from hpo_core.datasets.dataset_version import DatasetVersion
    from hpo_core.datasets.datasets import Datasets

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Datasets: versions of their files, statistics, images as files.",
)


@app.callback()
def data() -> None:
    """Datasets: versions of their files, statistics, images as files."""


data_changes.add_to(app)


@app.command("list")
def list_datasets(storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """The newest version of every dataset."""
    datasets = opened(storage)
    _print(datasets, [datasets.latest(name) for name in datasets.names()], json)


@app.command()
def versions(
    name: Dataset,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Those that were deleted too.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Every version of a dataset."""
    datasets = opened(storage)
    _print(datasets, datasets.versions(name, deleted=deleted), json)


def _print(datasets: Datasets, found: list[DatasetVersion], json: bool) -> None:
    living = {version.name for version in found if version.deleted is None}
    tags = {each.name: datasets.tags(each.name) if each.name in living else {} for each in found}
    if json:
        return print_json([_told(version, tags[version.name]) for version in found])
    head = "version tags files size created root location"
    print_table(head.split(), [_row(version, tags[version.name]) for version in found])


def _told(version: DatasetVersion, tags: dict[str, int]) -> dict[str, Any]:
    its = [tag for tag, number in tags.items() if number == version.version]
    return version.to_json() | {"tags": its}


def _row(version: DatasetVersion, tags: dict[str, int]) -> tuple[Any, ...]:
    its = [tag for tag, number in tags.items() if number == version.version]
    return (
        version.label,
        "deleted" if version.deleted else ", ".join(its) or None,
        version.files,
        amount(version.size),
        clock(version.created).partition(" ")[0],
        version.root[:12],
        version.location,
    )


@app.command()
def show(reference: DataReference, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """Everything that is known of a version. Its files are not read."""
    datasets = opened(storage)
    version = datasets.get(reference)
    about = _told(version, datasets.tags(version.name))
    about |= {"snapshots": datasets.snapshots(version.label)}
    if json:
        return print_json(about)
    print(version.label)
    for key in ("tags", "root", "files", "size", "location", "snapshots", "parent"):
        value = about[key]
        value = ", ".join(map(str, value)) if isinstance(value, list) else value
        if key == "size":
            value = f"{amount(version.size)} ({version.size} bytes)"
        print(f"  {key}: {clean(value) if value not in (None, '') else '-'}")
    for key, value in version.made.items():
        print(f"  {key if key == 'recipe' else 'made'}: {clean(value)}")
    print(f"  created: {clock(version.created)}")


@app.command()
def digest(url: Address, json: Json = False) -> None:
    """Read every file and print the root over them; nothing is kept."""
    from hpo_core.datasets.datasets import Datasets

    found = Datasets.digest(url)
    if json:
        return print_json({"root": found.root, "files": found.files, "size": found.size})
    print(found.root)
    print(f"{found.files} files, {amount(found.size)}", file=sys.stderr)


@app.command()
def sizes(reference: DataReference, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """How many files a version has, how large, of which kinds and in which folders."""
    datasets = opened(storage)
    version, found = datasets.get(reference), datasets.statistics(reference)
    if json:
        return print_json({"version": version.label} | found.to_json())
    print(f"{version.label}: {found.files} files, {amount(found.size)}")
    between = (
        f"{amount(found.smallest)} to {amount(found.largest)}, median {amount(int(found.median))}"
    )
    print(f"  sizes: {between}, {found.empty} empty")
    print(f"  repeated: {found.repeated} files with the bytes of another, {amount(found.saved)}")
    for title, table in (("kind", found.kinds), ("folder", found.folders)):
        print()
        rows = [(name or "none", count, amount(total)) for name, (count, total) in table.items()]
        print_table((title, "files", "size"), rows)


@app.command()
def compare(
    first: DataReference,
    second: DataReference,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """The files that were added, removed, changed and moved from one version to another."""
    datasets = opened(storage)
    labels = datasets.get(first).label, datasets.get(second).label
    found = datasets.compare(*labels)
    if json:
        return print_json({"first": labels[0], "second": labels[1]} | found.to_json())
    for word in ("added", "removed", "changed"):
        for path in getattr(found, word):
            print(f"{word} {clean(path)}")
    for before, after in found.moved:
        print(f"moved {clean(before)} -> {clean(after)}")
    counts = [f"{len(getattr(found, each))} {each}" for each in _CHANGES]
    print(f"{labels[0]} to {labels[1]}: {', '.join(counts)}, {found.same} the same")


_CHANGES = ("added", "removed", "changed", "moved")


@app.command()
def check(
    reference: DataReference,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="URL", help="Where the files lie; else where they lay."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Read every file of a version; which are missing, changed or extra."""
    datasets = opened(storage)
    version = datasets.get(reference)
    found = datasets.verify(version.label, at)
    if json:
        print_json({"version": version.label, "fine": found.none} | found.to_json())
    else:
        good = f"{found.files} files are as they were registered"
        print(f"{version.label}: {good if found.none else 'NOT AS IT WAS'}")
    said = [
        *(f"{word}: {clean(path)}" for word in _WRONG for path in getattr(found, word)),
        *found.unreadable,
    ]
    for sentence in said[:-1]:
        print(f"error: {sentence}", file=sys.stderr)
    if said:
        raise StoreError(said[-1])


_WRONG = ("missing", "changed", "extra")


@app.command()
def lineage(
    reference: DataReference, storage: Storage = DEFAULT_STORAGE, json: Json = False
) -> None:
    """What a version was made from, and what was made from it; of one that was deleted, too."""
    found = opened(storage).lineage(reference)
    if json:
        return print_json(found.to_json())
    for line in _cleaned(found.lines()):
        print(line)


def _cleaned(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield " " * (len(line) - len(line.lstrip())) + clean(line)


data_usage.add_to(app)
data_copies.add_to(app)
