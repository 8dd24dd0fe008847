"""`hpo status`, `trials`, `show` and `best`: what is in the storage."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.tables import print_table
from hpo_core.cli.wording import clean, number, parameters, size, used
from hpo_core.errors import NoSuccessError, UsageError
from hpo_core.trial import Event, json_safe

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from hpo_core.storage.reading import TrialRow
    from hpo_core.storage.studies import StudyRecord

Name = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.", show_default=False)]


def status(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Only this study.")] = None,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """How far the studies are."""
    from hpo_core.storage import database, reading, studies

    engine = database.open_existing(storage)
    records = [studies.called(engine, study)] if study else studies.all_studies(engine)
    found = [reading.status(engine, record) for record in records]
    if json:
        return print_json([item.to_json() for item in found])
    rows = [
        (
            item.record.name,
            _done(item.record),
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
    from hpo_core.facade.result import StudyResult

    result = StudyResult.read(study, storage)
    rows = result.trials()
    if json:
        return print_json([row.to_json() for row in rows])
    print_table(
        ("trial", "state", result.metric, "epochs", "attempt", "parameters", "reason"),
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
    provenance: Annotated[
        bool,
        typer.Option(
            "--provenance", help="What it takes to train it again, as one JSON document instead."
        ),
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Everything about one trial: parameters, every epoch, where its files are."""
    from hpo_core.storage import database, reading, studies

    engine = database.open_existing(storage)
    record = studies.called(engine, study)
    row = reading.trial(engine, record, trial)
    if row is None:
        raise UsageError(f"study '{study}' has no trial {trial}: see hpo trials {study}")
    if provenance:
        return print_json(_provenance(engine, record, row))
    told = reading.events(engine, record, trial)
    folder = Path(record.directory, "trials", f"{trial:04d}", f"attempt-{row.attempt}")
    if json:
        about = {
            "attributes": row.attributes,
            "directory": str(folder),
            "reports": [event.data for event in told if event.kind == "report"],
            "attempts": _ended(told),
        }
        return print_json(row.to_json() | about)
    print(
        f"trial {trial} of study {study}: {row.state}" + (f" ({row.reason})" if row.reason else "")
    )
    print(f"directory {folder}")
    for name, value in row.params.items():
        print(f"  {clean(name)} = {clean(value)}")
    for name, value in row.attributes.items():
        print(f"  [{clean(name)}] {_shown(name, value)}")
    _print_history(told)


def _provenance(engine: Engine, record: StudyRecord, row: TrialRow) -> dict[str, Any]:
    from hpo_core.registry.origin import origin_of

    if not row.attempt:
        raise UsageError(f"trial {row.number} of study '{record.name}' has not been run by hpo")
    return origin_of(engine, record, row.number)


def _shown(name: str, value: Any) -> str:
    """An attribute of a trial; ours have units."""
    if name in ("peak_memory", "peak_gpu_memory"):
        return size(value)
    return f"{value} %" if name == "gpu_utilization" else clean(value)


def _print_history(told: list[Event]) -> None:
    """Every attempt's start, reports and end, as one table."""
    reports = [event.data for event in told if event.kind == "report"]
    names = sorted({name for report in reports for name in report["metrics"]})
    rows = []
    for event in told:
        data = event.data
        if event.kind == "report":
            said = f"{data['decision']} {data['reason']}".strip()
            saved = "saved" if "checkpoint" in data else ""
            numbers = [number(data["metrics"].get(name)) for name in names]
            rows.append((data["attempt"], data["step"], *numbers, saved, said))
        elif event.kind in _TURNS:
            said = f"{_TURNS[event.kind]}: {data['reason']}".removesuffix(": ")
            said += f" ({taken})" if (taken := ", ".join(used(data))) else ""
            rows.append((data["attempt"], data["steps"], *[""] * len(names), "", said))
    print_table(("attempt", "epoch", *names, "checkpoint", "decision"), rows)


_ENDS = ("trial_paused", "trial_lost", "trial_interrupted", "trial_finished")


def _ended(told: list[Event]) -> list[dict[str, Any]]:
    """How each attempt ended, and what was measured of it; a trial that is finished while it waits ends none."""
    ended: dict[int, dict[str, Any]] = {}
    for event in told:
        if event.kind in _ENDS and event.data["attempt"]:  # 0: it was refused, and never began
            about = {"ending": event.kind.removeprefix("trial_")} | event.data
            ended.setdefault(event.data["attempt"], about)
    return list(ended.values())


_TURNS = {"trial_lost": "LOST", "trial_interrupted": "INTERRUPTED"}
"""How an attempt ended that no decision ended."""


def best(study: Name, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """The best trial of a study, and the model versions that it became."""
    from hpo_core.facade.result import StudyResult
    from hpo_core.registry.model_version import versions_of
    from hpo_core.registry.places import located
    from hpo_core.storage import database, studies

    result = StudyResult.read(study, storage)
    found = result.best
    if found is None:
        raise NoSuccessError(f"study '{study}' has no successful trial yet")
    engine = database.open_existing(storage)
    versions = versions_of(engine, studies.called(engine, study).study_id, found.number)
    if json:
        about = {"study": study, **asdict(found), "model_version": result.model_version}
        return print_json(about | {"model_versions": [version.label for version in versions]})
    print(f"{result.metric} {number(found.value)} by trial {found.number} of study {study}")
    for name, value in found.params.items():
        print(f"  {clean(name)} = {clean(value)}")
    for version in versions:
        path = located(storage, version.name, version.path)
        print(f"model {version.label}: {path}")


def _done(record: StudyRecord) -> str:
    """`3/20`, or `3` where the number of trials is not limited."""
    return str(record.finished) if record.target is None else f"{record.finished}/{record.target}"


def print_json(value: Any) -> None:
    """Print a value of JSON types on one line, with null for the numbers that JSON lacks."""
    print(json_module.dumps(json_safe(value), allow_nan=False))
