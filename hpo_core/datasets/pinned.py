"""The version of a dataset that a study says its trials must learn from (`data_version: pets@3`)."""

from __future__ import annotations

from sqlalchemy import Engine

from hpo_core.catalog import Catalog
from hpo_core.datasets.references import find
from hpo_core.datasets.usage import ROOT
from hpo_core.datasets.used import Used
from hpo_core.errors import UsageError
from hpo_core.spec import StudySpec
from hpo_core.storage.database import connect


def check(engine: Engine, catalog: Catalog, spec: StudySpec) -> None:
    """Compare the files that the study's dataset reads with the version that it names, if it names one.

    Called by the driver before the first trial of a run. Nothing is read: names, sizes and stamps are compared, as for
    each trial (`hpo_core.datasets.used`). Raises UsageError for other files, for a version that there is not, and for a
    dataset that reads none or is searched itself.
    """
    if spec.data_version is None:
        return
    with connect(engine) as connection:
        version = find(connection, spec.data_version)
    reasons: list[str] = []
    found = Used(engine, catalog, reasons.append)(spec.objective["name"], spec.objective)
    if found is not None and found[ROOT] == version.root:
        return
    why = reasons or ["its dataset reads no files, or others"]
    raise UsageError(
        f"study '{spec.study}' is to learn from {version.label}, and does not: {'; '.join(why)}; "
        f"hpo data check {version.label} says what differs"
    )
