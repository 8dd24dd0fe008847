"""The model versions that came from a study: how each does on data that nothing was chosen by, and its gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpo_core.registry import gates
from hpo_core.registry.listing import Listed
from hpo_core.registry.model_version import ModelVersion
from hpo_core.report.facts import Facts
from hpo_core.report.parts import ROWS, Section, Table
from hpo_core.report.wording import DASH, cut, number

HEAD = ("version", "aliases", "trial", "images", "accuracy", "95 % interval", "ECE", "ms", "gates")


def models(facts: Facts) -> Section:
    """The versions of the study, the newest first; empty where none was registered."""
    section = Section("models", "Registered models")
    if not facts.versions:
        return section
    shown = facts.versions[:ROWS]
    section.prose = [
        "Measured once, when they were registered, on the part of the data that nothing was chosen by (test). ECE: "
        "the expected calibration error; ms: the time that one image takes; gates: the study's success_criteria. "
        "Intervals are Wilson's.",
    ]
    section.tables = [Table(HEAD, [_row(each) for each in shown])]
    judged = [row for each in shown for row in _gates(each.version)]
    if judged:
        section.tables.append(Table(("version", "gate", "", "measured"), judged[:ROWS]))
    return section


def _row(listed: Listed) -> tuple[str, ...]:
    version = listed.version
    evaluation: Mapping[str, Any] = version.evaluation or {}
    metrics = evaluation.get("metrics") or {}
    low, high = (evaluation.get("intervals") or {}).get("accuracy") or (None, None)
    latency = metrics.get("latency_seconds")
    words = dict.fromkeys((*listed.aliases, *([listed.stage] if listed.stage else ())))
    return (
        version.label,
        ", ".join(words),
        str(version.trial),
        str(evaluation.get("n") or DASH),
        number(metrics.get("accuracy")),
        DASH if low is None else f"{number(low)} to {number(high)}",
        number(metrics.get("ece")),
        DASH if latency is None else f"{1000 * latency:.2f}",
        _passed(version),
    )


def _passed(version: ModelVersion) -> str:
    if not version.evaluation:
        return "not measured"
    if version.evaluation.get("reason"):
        return f"not measured: {cut(version.evaluation['reason'], 300)}"
    rows = list(_gates(version))
    failed = [gate for _, gate, passed, _ in rows if passed == "failed"]
    if not rows:
        return "none were set"
    return f"failed: {', '.join(failed)}" if failed else f"passed all {len(rows)}"


def _gates(version: ModelVersion) -> Iterator[tuple[str, str, str, str]]:
    """The criteria of a version: which, whether it was met, and what was measured."""
    judged = (version.evaluation or {}).get("gates") or ()
    for gate in judged:
        if gate["passed"]:
            yield version.label, gate["name"], "passed", cut(gate["reason"], 600)
    for said in gates.failures(version):
        name, _, why = said.partition(": ")
        yield version.label, name, "failed", cut(why, 600)
