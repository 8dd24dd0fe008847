"""`hpo results`: questions about what trials reported, answered as a table, as JSON or as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo_core.cli import results_tables as shown
from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.reading import print_json
from hpo_core.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from hpo_core.results.trials import ResultTrial
    from hpo_core.storage.studies import StudyRecord
    from hpo_core.trial import ClassReport

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Compare trials, LR schedulers, models, classes.",
)

Studies = Annotated[
    list[str] | None, typer.Argument(metavar="[STUDY]...", help="Studies; none: all.")
]
InStudies = Annotated[
    list[str] | None, typer.Option("--study", metavar="STUDY", help="Only this study; repeatable.")
]
Blocks = Annotated[
    str | None,
    typer.Option(
        metavar="OPTIONS",
        help="What pairs runs: options, with commas. Default: searched ones called like seeds.",
    ),
]
Metric = Annotated[str | None, typer.Option(help="Another metric than the study's.")]
Epoch = Annotated[int | None, typer.Option(min=1, help="Look at the first so many epochs only.")]
Share = Annotated[
    float, typer.Option(min=0.01, max=1, help="Convergence: the share of the best to reach.")
]
Png = Annotated[
    Path | None, typer.Option("--png", metavar="FILE", help="Draw it too (hpo-core[png]).")
]


@app.callback()
def results() -> None:
    """Compare trials, LR schedulers, models, classes."""


@app.command()
def query(
    studies: Studies = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    lr_scheduler: Annotated[str | None, typer.Option(help="Only this LR scheduler.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="Only this optimizer.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="complete, pruned, fail, running, paused; repeatable.")
    ] = None,
    max_epoch: Epoch = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="CONDITION", help="val_accuracy > .9 and optimizer.lr < 0.1"),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sort by it; -NAME: greatest first.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    epochs: Annotated[bool, typer.Option("--epochs", help="Every epoch of each trial.")] = False,
    convergence: Annotated[
        bool, typer.Option("--convergence", help="How fast, how steady: see README.")
    ] = False,
    share: Share = 0.95,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Trials of one study, of several or of all."""
    from hpo_core.results import convergence as converging
    from hpo_core.results.query import Query, find

    named = {"model": model, "lr_scheduler": lr_scheduler, "optimizer": optimizer}
    options = {name: value for name, value in (named | {"dataset": dataset}).items() if value}
    asked = Query(studies or (), state or (), options, max_epoch, where, sort, limit)
    found = find(_engine(storage), asked)
    told = [converging.of(trial, None, share) for trial in found] if convergence else None
    if json:
        return print_json(shown.trials_json(found, epochs, told))
    shown.print_trials(found, epochs, told, share)


@app.command("best-schedulers")
def best_schedulers(
    studies: Studies = None,
    by: Annotated[str, typer.Option(help="The option whose values are ranked.")] = "lr_scheduler",
    per: Annotated[
        str | None, typer.Option(help="A ranking for each value of this option. Default: model.")
    ] = None,
    blocks: Blocks = None,
    metric: Metric = None,
    epoch: Epoch = None,
    share: Share = 0.95,
    limit: Annotated[int | None, typer.Option(min=1, help="Show so many of each.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
    png: Png = None,
) -> None:
    """Which LR schedulers (or other parts) are best for each model, over seeds, with intervals."""
    from hpo_core.results import plots, ranking
    from hpo_core.results.names import Names

    trials = _trials(storage, studies, epoch)
    if per is None and by != "model" and "model" in Names(trials).options:
        per = "model"
    found = ranking.rank(trials, by, per, _split(blocks), metric, epoch, share)
    if png is not None:
        plots.ranking(found, png)
    if json:
        return print_json([each.to_json() for each in found])
    shown.print_rankings(found, share, limit)


@app.command()
def compare(
    levels: Annotated[
        list[str], typer.Argument(metavar="A B...", help="Studies, or values of one option.")
    ],
    by: Annotated[
        str | None, typer.Option(help="The option that they are values of. Default: found.")
    ] = None,
    study: InStudies = None,
    blocks: Blocks = None,
    metric: Metric = None,
    epoch: Epoch = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Differences between studies, models or LR schedulers, tested."""
    from hpo_core.results import comparison

    found = comparison.compare(
        _trials(storage, study, epoch), levels, by, _split(blocks), metric, epoch
    )
    if json:
        return print_json(found.to_json())
    shown.print_comparison(found)


Name = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.", show_default=False)]
Number = Annotated[
    int | None, typer.Argument(metavar="[TRIAL]", min=0, help="Its number. Default: the best one.")
]
Step = Annotated[int | None, typer.Option(min=1, help="After this epoch. Default: its best one.")]


@app.command()
def groups(
    study: Name,
    trial: Number = None,
    step: Step = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """How a trial does on each class and on groups of classes."""
    from hpo_core.results import classes

    number, epoch, report = _class_report(storage, study, trial, step)
    found = classes.summary(report)
    if json:
        return print_json({"study": study, "number": number, "step": epoch} | found.to_json())
    print(f"trial {number} of study {study} after epoch {epoch}, on {found.images} images")
    shown.print_classes(found)


@app.command()
def confusions(
    study: Name,
    trial: Number = None,
    step: Step = None,
    top: Annotated[int, typer.Option(min=1, help="So many pairs.")] = 10,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
    png: Png = None,
) -> None:
    """Which classes a trial takes for which, the commonest first."""
    from dataclasses import asdict

    from hpo_core.results import classes, plots

    number, epoch, report = _class_report(storage, study, trial, step)
    pairs = classes.confused(report, top)
    if png is not None:
        plots.confusion(report, f"{study}, trial {number}, epoch {epoch}", png)
    if json:
        about = {"study": study, "number": number, "step": epoch}
        return print_json(about | {"confusions": [asdict(pair) for pair in pairs]})
    print(f"trial {number} of study {study} after epoch {epoch}")
    shown.print_confusions(pairs)


def _engine(storage: str) -> Engine:
    from hpo_core.storage import database

    return database.open_existing(storage)


def _trials(storage: str, studies: Sequence[str] | None, epoch: int | None) -> list[ResultTrial]:
    """Every trial of some studies, or of all. Raises UsageError where there is none."""
    from hpo_core.results.query import Query, find

    found = find(_engine(storage), Query(studies or (), max_epoch=epoch))
    if not found:
        raise UsageError("there is no trial to compare: see hpo status")
    return found


def _class_report(
    storage: str, study: str, number: int | None, step: int | None
) -> tuple[int, int, ClassReport]:
    """The number, the epoch and the report of a trial, of the best one unless it is named."""
    from hpo_core.results import class_reports, trials
    from hpo_core.results.query import named

    engine = _engine(storage)
    (record,) = named(engine, [study])
    chosen = _chosen(trials.read(engine, record), record, number)
    epoch, report = class_reports.read(engine, record, chosen, step)
    return chosen.number, epoch, report


def _chosen(found: Sequence[ResultTrial], record: StudyRecord, number: int | None) -> ResultTrial:
    if number is not None:
        for trial in found:
            if trial.number == number:
                return trial
        raise UsageError(
            f"study '{record.name}' has no trial {number}: see hpo trials {record.name}"
        )
    sign = 1 if record.goal == "maximize" else -1
    good = [trial for trial in found if trial.finished and trial.value is not None]
    if not good:
        raise UsageError(
            f"study '{record.name}' has no successful trial yet: name one by its number"
        )
    return max(good, key=lambda trial: (sign * (trial.value or 0.0), -trial.number))


def _split(words: str | None) -> list[str] | None:
    return None if words is None else [word.strip() for word in words.split(",") if word.strip()]
