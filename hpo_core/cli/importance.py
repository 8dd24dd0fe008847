"""`hpo importance`: how much each parameter of a study matters, with how sure that is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.reading import Name, print_json
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import clean

if TYPE_CHECKING:
    from hpo_core.results.importance import Importances


def importance(
    study: Name,
    metric: Annotated[str | None, typer.Option(help="Another metric than the study's.")] = None,
    evaluator: Annotated[
        str, typer.Option(help="ped-anova, fanova or mean-decrease-impurity.")
    ] = "ped-anova",
    epoch: Annotated[
        int | None,
        typer.Option(min=1, help="Count every trial that got there, by its best up to it."),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=10, max=1000, help="Draws for the interval, and for p. Default: 50 or 10."
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """How much each parameter matters, with intervals."""
    from hpo_core.results import importance as measuring
    from hpo_core.results import trials
    from hpo_core.space import Space
    from hpo_core.storage import database, studies

    engine = database.open_existing(storage)
    record = studies.called(engine, study)
    found = measuring.evaluate(
        trials.read(engine, record),
        Space(dict(record.identity["objective"])).parameters(),
        metric,
        evaluator,
        epoch,
        repeats,
    )
    if json:
        return print_json({"study": study} | found.to_json())
    _print(study, found)


def _print(study: str, found: Importances) -> None:
    when = "complete trials" if found.epoch is None else f"trials after epoch {found.epoch}"
    print(f"{found.evaluator} of {clean(found.metric)} over {found.trials} {when} of {study}")
    rows = [
        (
            row.parameter,
            f"{row.importance:.2f}",
            f"{row.low:.2f} to {row.high:.2f}",
            row.trials,
            f"{row.p:.2f}",
        )
        for row in found.parameters
    ]
    print_table(("parameter", "importance", "90 % interval", "trials", "p (chance)"), rows)
    for name, why in found.left_out.items():
        print(f"note: {clean(name)} {why}: left out", file=sys.stderr)
    if found.trials < 50:
        print(f"note: {found.trials} trials are few: trust the intervals", file=sys.stderr)
