"""The commands of `hpo data` about what used which version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.data_arguments import DataReference, opened
from hpo_core.cli.models_arguments import clock, print_json
from hpo_core.cli.tables import print_table

if TYPE_CHECKING:
    from hpo_core.datasets.usage import Run
    from hpo_core.datasets.uses import Use

Study = Annotated[str, typer.Argument(metavar="STUDY", help="The study.", show_default=False)]
Trial = Annotated[
    int | None, typer.Argument(metavar="[TRIAL]", min=0, help="Only this trial of it.")
]


def add_to(app: typer.Typer) -> None:
    """Make these commands part of a group."""
    for function in (runs, used, link):
        app.command()(function)


def runs(reference: DataReference, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """The trials and model versions that used a version; of one that was deleted, too."""
    datasets = opened(storage)
    version = datasets.get(reference, deleted=True)
    found = datasets.runs(version.label)
    if json:
        return print_json([run.to_json() for run in found])
    if version.deleted is not None:
        print(f"{version.label} was deleted on {clock(version.deleted)}")
    rows = [
        (
            run.study,
            "all" if run.trial is None else run.trial,
            run.role,
            _known(run),
            ", ".join(run.models) or None,
        )
        for run in found
    ]
    print_table(("study", "trial", "role", "known as", "models"), rows)


def used(
    study: Study,
    trial: Trial = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """The versions that a study used, or one trial of it; those that were deleted, too."""
    found = opened(storage).for_run(study, trial)
    if json:
        return print_json([use.to_json() for use in found])
    rows = [
        (
            f"{use.version.label}{' (deleted)' if use.version.deleted else ''}",
            use.role,
            use.version.root[:12],
            _known(use),
            ", ".join(map(str, use.trials)) or "all",
        )
        for use in found
    ]
    print_table(("version", "role", "root", "known as", "trials"), rows)


def _known(found: Run | Use) -> str:
    return "recorded" if found.recorded else "linked"


def link(
    reference: DataReference,
    study: Study,
    trial: Trial = None,
    role: Annotated[
        str, typer.Option(metavar="WORD", help="What it was used for: training, test, ...")
    ] = "training",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Say that a study, or one trial of it, used a version, where that could not be recorded.

    `runs`, `used` and `hpo models lineage` tell it, as linked by hand.
    """
    version = opened(storage).link(reference, study, trial, role=role)
    whose = f"study {study}" if trial is None else f"trial {trial} of study {study}"
    print(f"{whose} used {version.label} for {role}")
