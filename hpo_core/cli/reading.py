"""`hpo status`, `trials`, `show` and `best`: what is in the storage."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import clean, number, parameters
from hpo_core.errors import NoSuccessError, UsageError, nearest
from hpo_core.trial import json_safe

Name = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.", show_default=False)]


def status(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Only this study.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """How far the studies are."""
    from hpo_core.storage import database, reading, studies

    engine = database.open_existing(storage)
    records = [_record(storage, study)] if study else studies.all_studies(engine)
    found = [reading.status(engine, record) for record in records]
    if json:
        return _print_json([item.to_json() for item in found])
    rows = [
        (
            item.record.name,
            f"{item.record.finished}/{item.record.target}",
            item.complete,
            item.pruned,
            item.failed,
            item.running,
            item.paused,
            "" if item.best_value is None else f"{item.record.metric} {number(item.best_value)}",
        )
        for item in found
    ]
    head = ("study", "done", "complete", "pruned", "failed", "running", "paused", "best")
    print_table(head, rows)


def trials(study: Name, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """The trials of a study."""
    from hpo_core.storage import database, reading

    record = _record(storage, study)
    rows = reading.trials(database.open_existing(storage), record)
    if json:
        return _print_json([row.to_json() for row in rows])
    print_table(
        ("trial", "state", record.metric, "epochs", "attempt", "parameters", "reason"),
        [
            (
                row.number,
                row.state,
                "" if row.value is None else number(row.value),
                row.epochs,
                row.attempt,
                parameters(row.params),
                row.reason,
            )
            for row in rows
        ],
    )


def show(
    study: Name,
    trial: Annotated[int, typer.Argument(metavar="N", min=0, help="The trial's number.")],
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Everything about one trial: parameters, every epoch, where its files are."""
    from hpo_core.storage import database, reading

    engine, record = database.open_existing(storage), _record(storage, study)
    row = reading.trial(engine, record, trial)
    if row is None:
        raise UsageError(f"study '{study}' has no trial {trial}: see hpo trials {study}")
    events = reading.events(engine, record, trial)
    reports = [event.data for event in events if event.kind == "report"]
    folder = Path(record.directory, "trials", f"{trial:04d}", f"attempt-{row.attempt}")
    if json:
        about = row.to_json() | {
            "attributes": row.attributes,
            "directory": str(folder),
            "reports": reports,
        }
        return _print_json(about)
    print(
        f"trial {trial} of study {study}: {row.state}" + (f" ({row.reason})" if row.reason else "")
    )
    print(f"directory {folder}")
    for name, value in row.params.items():
        print(f"  {clean(name)} = {clean(value)}")
    for name, value in row.attributes.items():
        print(f"  [{clean(name)}] {clean(value)}")
    names = sorted({name for report in reports for name in report["metrics"]})
    print_table(
        ("attempt", "epoch", *names, "decision"),
        [
            (
                report["attempt"],
                report["step"],
                *(number(report["metrics"].get(name)) for name in names),
                " ".join([report["decision"], report["reason"]]).strip(),
            )
            for report in reports
        ],
    )


def best(study: Name, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """The best trial of a study, and the model version that it became."""
    from hpo_core.registry import versions
    from hpo_core.storage import database, reading

    engine, record = database.open_existing(storage), _record(storage, study)
    row = reading.best_trial(engine, record)
    if row is None:
        raise NoSuccessError(f"study '{study}' has no successful trial yet")
    version = versions.version_of(engine, record.study_id, row.number)
    about = {
        "study": study,
        "number": row.number,
        "value": row.value,
        "params": row.params,
        "model_version": version.label if version else None,
    }
    if json:
        return _print_json(about)
    print(f"{record.metric} {number(row.value)} by trial {row.number} of study {study}")
    for name, value in row.params.items():
        print(f"  {clean(name)} = {clean(value)}")
    if version is not None:
        print(f"model {version.label}: {version.path}")


def _record(storage: str, name: str) -> Any:
    """The study called `name`. Raises UsageError with the nearest name."""
    from hpo_core.storage import database, studies

    engine = database.open_existing(storage)
    record = studies.find(engine, name)
    if record is None:
        known = [record.name for record in studies.all_studies(engine)]
        hint = nearest(name, known)
        guess = f" - did you mean '{hint}'?" if hint else f" (there is: {_listed(known)})"
        raise UsageError(f"there is no study '{name}' in {database.display(storage)}{guess}")
    return record


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _print_json(value: Any) -> None:
    print(json_module.dumps(json_safe(value), allow_nan=False))
