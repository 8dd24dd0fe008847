"""The folder of a version that is ready gets its final name, or the one that a kill has left is taken for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpo_core.registry import files
from hpo_core.registry.files import EVALUATION, PROVENANCE
from hpo_core.registry.model_version import ModelVersion


def placed(version: ModelVersion, part: Path, models: Path) -> ModelVersion:
    """Give the folder its final name: that of its number, unless somebody else's folder has it."""
    folder = models / str(version.version)
    if not files.place(part, folder):
        found = _left_behind(version, folder)
        if found is not None:
            return found
        folder = models / f"{version.version}-{part.name[-8:]}"
        files.place(part, folder)
    return replace(version, path=str(folder / version.path))


def _left_behind(version: ModelVersion, folder: Path) -> ModelVersion | None:
    """The version as it lies in a folder that a killed registration of the same trial has left, or None."""
    found = files.described(folder)
    theirs = files.read_json(folder / PROVENANCE)
    weights = {name: about for name, about in version.files.items() if name not in _OURS}
    if not isinstance(theirs, dict) or weights != {
        n: a for n, a in found.items() if n not in _OURS
    }:
        return None
    if any(theirs.get(key) != version.provenance[key] for key in ("study", "study_id", "trial")):
        return None
    return replace(
        version,
        path=str(folder / version.path),
        files=found,
        provenance=theirs,
        evaluation=files.read_json(folder / EVALUATION),
    )


_OURS = (PROVENANCE, EVALUATION)
"""The files that are not the checkpoint's."""
