"""`hpo recommend`: what to change in a study file, with the evidence.

An edit is tried before it is shown: a study file with it must be one that `hpo validate` lets through. One that is not,
because an option allows no more, is left out, and its finding says so.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.reading import Name, print_json
from hpo_core.cli.wording import clean, number
from hpo_core.errors import StudyFileError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from hpo_core.catalog import Catalog
    from hpo_core.recommending import Edit, Finding, Studied
    from hpo_core.storage.studies import StudyRecord
    from hpo_core.yaml_source import Source


def recommend(study: Name, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """What to change in a study file, with the evidence."""
    from hpo_core import plugins, recommending
    from hpo_core.storage import database, studies

    engine = database.open_existing(storage)
    looked_at = studied(engine, studies.called(engine, study))
    catalog, _ = plugins.load()
    found = [possible(each, looked_at, catalog) for each in recommending.findings(looked_at)]
    if json:
        finished = len(looked_at.finished)
        told = [each.to_json() for each in found]
        return print_json({"study": study, "finished": finished, "findings": told})
    _print(study, looked_at, found)


def studied(engine: Engine, record: StudyRecord) -> Studied:
    """A stored study as the rules see it."""
    from hpo_core.recommending import Studied
    from hpo_core.results import class_reports, trials

    found = Studied(record.identity, tuple(trials.read(engine, record)))
    if not found.good or not class_reports.steps(engine, record, found.good[0].number):
        return found
    return replace(found, classes=class_reports.read(engine, record, found.good[0])[1])


def possible(finding: Finding, study: Studied, catalog: Catalog) -> Finding:
    """A finding with those of its edits that the study file may have."""
    if not finding.edits:
        return finding
    why = [problem for edit in finding.edits if (problem := _problem(edit, study, catalog))]
    if not why:
        return finding
    allowed = tuple(edit for edit in finding.edits if not _problem(edit, study, catalog))
    return replace(finding, edits=allowed, caveat=finding.caveat or why[0])


def _problem(edit: Edit, study: Studied, catalog: Catalog) -> str:
    """Why the study file cannot have an edit; empty where it can.

    What is wrong without it already is not blamed on it: a plugin may be missing here.
    """
    from hpo_core.yaml_source import apply_override

    source = _source(study)
    try:
        problems = _problems(apply_override(source, edit.override), catalog)
    except StudyFileError as error:
        return f"{edit} cannot be: {error}"
    new = problems - _problems(source, catalog)
    return f"{edit} cannot be: {sorted(new)[0]}" if new else ""


def _problems(source: Source, catalog: Catalog) -> set[str]:
    from hpo_core.spec import check

    try:
        check(source, catalog, Path(source.name), runs_here=False)
    except StudyFileError as error:
        return {problem.message for problem in error.problems}
    return set()


def _source(study: Studied) -> Source:
    """The study file as it was understood: JSON is YAML."""
    from hpo_core.yaml_source import parse

    tree: Mapping[str, Any] = {"study": "study", "budget": {"trials": 1}, **study.identity}
    return parse(json_module.dumps(tree), "study.yaml")


def _print(name: str, study: Studied, found: Sequence[Finding]) -> None:
    if not study.finished:
        raise UsageError(f"study '{name}' has no finished trial yet: see hpo status")
    if not found:
        return print(f"nothing to change in {name}, by its {len(study.finished)} finished trials")
    for place, each in enumerate(found):
        if place:
            print()
        print(f"{each.rule}: {clean(each.says)}")
        print(f"  evidence: {_evidence(each.evidence)}")
        for edit in each.edits:
            print(f"  edit: {clean(edit)}")
        if each.caveat:
            print(f"  but: {clean(each.caveat)}")


def _evidence(evidence: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {clean(_shown(value))}"
        for name, value in evidence.items()
        if value not in (None, [], "")
    )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return " and ".join(map(_shown, value))
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_shown(item)}" for key, item in value.items())
    return str(value)
