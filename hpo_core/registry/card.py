"""A model card: what one should know of a version before using it, in Markdown, from what was recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from hpo_core.registry import gates, measured
from hpo_core.registry.listing import Listed
from hpo_core.registry.markdown import table
from hpo_core.registry.model_version import ModelVersion
from hpo_core.results.trials import flat

DESCRIPTION = "description"
"""The tag whose text begins a card."""

CLASSES = 50
"""The most classes that a card lists; beyond, only the worst so many."""


def card(listed: Listed) -> str:
    """The card of a version, as GitHub reads Markdown."""
    version = listed.version
    parts = [
        _head(listed),
        _section("Measured", _metrics(version)),
        _section("Classes", _classes(version)),
        _section("Criteria", _criteria(version)),
        _section("Training", table(("option", "value"), _options(version))),
        _section("Origin", table(("", ""), _origin(version))),
        _section("Files", table(("file", "bytes", "sha256"), _files(version))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(listed: Listed) -> str:
    stage = listed.stage
    words = [*listed.aliases, *([stage] if stage and stage not in listed.aliases else [])]
    tags = [f"{key}={value}" for key, value in listed.tags.items() if key != DESCRIPTION]
    parts = [
        f"# {listed.version.label}",
        listed.tags.get(DESCRIPTION, ""),
        f"Aliases: {', '.join(words)}" if words else "",
        f"Tags: {', '.join(tags)}" if tags else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _metrics(version: ModelVersion) -> str:
    rows = [
        (each.part, each.name, f"{each.value:.6g}", _interval(each.low, each.high))
        for each in measured.numbers(version)
    ]
    return f"{_measuring(version)}\n\n{table(('part', 'metric', 'value', 'interval'), rows)}"


def _measuring(version: ModelVersion) -> str:
    about = version.evaluation
    if about is None:
        return "Nobody has measured it on data that nothing was chosen by: the numbers are those of its training."
    if about.get("reason"):
        return (
            f"It could not be measured: {about['reason']}. The numbers are those of its training."
        )
    images, part = about.get("n", "an unknown number of"), about.get("part", "test")
    return f"Measured once, on {images} images of the part `{part}`."


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def _classes(version: ModelVersion) -> str:
    found = sorted(measured.classes(version).items(), key=lambda item: item[1]["recall"])
    if not found:
        return ""
    rows = [
        (name, *(f"{about[key]:.4f}" for key in ("precision", "recall", "f1")))
        for name, about in found[:CLASSES]
    ]
    more = f"\n\nand {len(found) - CLASSES} better ones" if len(found) > CLASSES else ""
    return table(("class", "precision", "recall", "f1"), rows) + more


def _criteria(version: ModelVersion) -> str:
    judged = (version.evaluation or {}).get("gates") or ()
    passed = [f"- met: {gate['name']}: {gate['reason']}" for gate in judged if gate["passed"]]
    return "\n".join([*passed, *(f"- **not met**: {said}" for said in gates.failures(version))])


def _options(version: ModelVersion) -> Iterator[tuple[str, str]]:
    for name, value in version.options.items():
        searched = " (searched)" if name in version.params else ""
        yield f"{name}{searched}", f"`{value}`"


def _origin(version: ModelVersion) -> Iterator[tuple[str, str]]:
    origin = version.provenance
    yield "study", version.study
    yield "trial", str(version.trial)
    yield from _data(origin)
    yield "code", version.git_commit or "not recorded"
    yield from _training(origin)
    yield "registered", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(version.created))
    yield "libraries", ", ".join(f"{name} {number}" for name, number in version.versions.items())


def _data(origin: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What it has learned from, where that is known."""
    data = origin.get("dataset")
    if isinstance(data, Mapping):
        yield "data", ", ".join(f"{key} {value}" for key, value in flat(data))


def _training(origin: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What training it took; an older hpo has recorded less."""
    if "seeds" in origin:
        yield "seed", str(origin["seeds"]["trial"])
    if origin.get("parent") is not None:
        yield "cloned", f"from trial {origin['parent']} after epoch {origin['parent_step']}"
    if "seconds" in origin:
        yield "training", f"{origin['steps']} epochs in {origin['seconds']:.0f} s"
    if origin.get("peak_memory"):
        yield "memory", f"{origin['peak_memory'] / 2**20:.0f} MiB at most"
    hardware = origin.get("environment", {}).get("hardware")
    if hardware:
        gpus = ", ".join(gpu["name"] for gpu in hardware["gpus"])
        yield "machine", f"{hardware['cpu']}, {hardware['cores']} cores{gpus and f', {gpus}'}"


def _files(version: ModelVersion) -> Iterator[tuple[str, str, str]]:
    for name, about in version.files.items():
        yield name, str(about["size"] or ""), f"`{about['sha256']}`"
