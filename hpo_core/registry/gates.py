"""What stands between a version and the stages that people rely on: the criteria of its study, as they were judged.

The criteria are those of `success_criteria:` in the study file, kept in a version's provenance under that key. They
were judged when the version was registered, once, on data that nothing was chosen by; its evaluation says how, in
`gates`: a list of `{name, passed, reason}`, one for each criterion, with what was measured in `reason`.
"""

from __future__ import annotations

from collections.abc import Iterator

from hpo_core.errors import GateError
from hpo_core.registry import judging
from hpo_core.registry.model_version import ModelVersion

GUARDED = ("staging", "production")
"""The stages that a version may not get to before it has passed."""


def admit(version: ModelVersion, alias: str) -> None:
    """Raise GateError if a version has not met its study's criteria and `alias` is a stage that asks for it."""
    if alias not in GUARDED:
        return
    said = list(failures(version))
    if said:
        raise GateError(
            f"model {version.label} may not become {alias}: it does not meet its study's success_criteria: "
            f"{'; '.join(said)}. Any other alias may be given to it"
        )


def failures(version: ModelVersion) -> Iterator[str]:
    """Each criterion that a version has not met, or that nobody has judged, with why."""
    judged = {gate["name"]: gate for gate in (version.evaluation or {}).get("gates", ())}
    for name, gate in judged.items():
        if not gate["passed"]:
            yield f"{name}: {gate['reason']}"
    for name in version.provenance.get("success_criteria") or ():
        if name not in judged:
            yield f"{name}: it was not measured"


def doubts(version: ModelVersion) -> Iterator[str]:
    """Each criterion that a version has met, although its interval does not exclude that it fails, with why."""
    return judging.doubts((version.evaluation or {}).get("gates", ()))
