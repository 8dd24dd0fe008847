"""What `hpo models show` says of a version: what one promotes it by first, then how it was made, then its files.

Each fact has a line of its own that fits a terminal. The study file, the attempts and the classes are left to `--json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hpo_core.cli.models_arguments import clock
from hpo_core.cli.tables import aligned
from hpo_core.cli.wording import NOTHING, clean, count, number, size, span
from hpo_core.registry import gates, measured
from hpo_core.registry.listing import Listed
from hpo_core.registry.measured import Measured
from hpo_core.registry.model_version import ModelVersion
from hpo_core.results.trials import flat

Rows = Iterable[tuple[str, Any]]


def described(listed: Listed, width: int | None) -> Iterator[str]:
    """The lines, wrapped at `width` or not at all where that is None."""
    version = listed.version
    yield clean(version.label)
    yield from _block(_head(listed), width)
    for title, rows in _sections(version):
        lines = list(_block(rows, width))
        if lines:
            yield from ("", title, *lines)
    yield from ("", "files", *_files(version))
    yield from ("", "classes, attempts and the study file: --json")


def _block(rows: Rows, width: int | None) -> Iterator[str]:
    cells = ((f"  {clean(name)}", clean(NOTHING if it in (None, "") else it)) for name, it in rows)
    yield from aligned(cells, width)


def _head(listed: Listed) -> Iterator[tuple[str, Any]]:
    version = listed.version
    yield "stage", listed.stage
    yield "aliases", ", ".join(listed.aliases)
    yield "tags", ", ".join(f"{key}={value}" for key, value in listed.tags.items())
    yield "study", f"{version.study}, trial {version.trial}"
    yield "validation", f"{version.metric} {number(version.value)}"
    yield "test", _tested(listed)
    yield "gates", _passed(version)
    yield "registered", clock(version.created)
    yield "weights", version.path


def _tested(listed: Listed) -> str:
    evaluation = listed.version.evaluation
    if evaluation is None:
        return "not measured"
    if evaluation.get("reason"):
        return f"could not be measured: {evaluation['reason']}"
    main = listed.test
    said = "" if main is None else f"{main.name} {_value(main)} on "
    return f"{said}{evaluation.get('n', 'an unknown number of')} images"


def _value(each: Measured) -> str:
    between = "" if each.low is None else f" ({number(each.low)} to {number(each.high)})"
    return f"{number(each.value)}{between}"


def _passed(version: ModelVersion) -> str:
    failed = [said.partition(": ")[0] for said in gates.failures(version)]
    if failed:
        return f"failed: {', '.join(failed)}"
    judged = (version.evaluation or {}).get("gates")
    return f"passed: all {len(judged)}" if judged else "the study has no success_criteria"


def _sections(version: ModelVersion) -> Iterator[tuple[str, Rows]]:
    numbers = measured.numbers(version)
    for part in dict.fromkeys(each.part for each in numbers):
        yield f"measured ({part})", [(n.name, _value(n)) for n in numbers if n.part == part]
    yield "gates", _gates(version)
    yield "data", _data(version.provenance)
    yield "training", _training(version.provenance)
    yield "code", _code(version)
    yield "machine", _machine(version.provenance.get("environment") or {})
    yield "libraries", version.versions.items()
    options = version.options
    yield "searched", [(name, _yaml(options.get(name, it))) for name, it in version.params.items()]
    yield (
        "options",
        [(name, _yaml(it)) for name, it in options.items() if name not in version.params],
    )


def _gates(version: ModelVersion) -> Iterator[tuple[str, str]]:
    for gate in (version.evaluation or {}).get("gates") or ():
        if gate["passed"]:
            yield gate["name"], f"passed: {gate['reason']}"
    for said in gates.failures(version):
        name, _, why = said.partition(": ")
        yield name, f"failed: {why}"


def _data(origin: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    data = origin.get("dataset")
    if isinstance(data, Mapping):
        yield "dataset", data.get("name")
        yield "version", data.get("dataset_version") or "none that is registered"
        yield "images", ", ".join(f"{part} {many}" for part, many in _images(data))
        yield "test sha256", data.get("test_sha256")
    elif data is not None:
        yield "dataset", data
    if origin.get("augmentation") is not None:
        yield "augmentation", ", ".join(_pair(*each) for each in flat(origin["augmentation"]))


def _images(data: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """How many each part has; they are counted by class."""
    for part, many in (data.get("images") or {}).items():
        yield part, sum(many.values()) if isinstance(many, Mapping) else many


def _pair(name: str, value: Any) -> str:
    return _yaml(value) if name in ("", "name") else f"{name} {_yaml(value)}"


def _training(origin: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What training it took; an older hpo has recorded less."""
    if "seeds" in origin:
        yield "seeds", ", ".join(f"{of} {seed}" for of, seed in origin["seeds"].items())
    if origin.get("parent") is not None:
        yield "cloned from", f"trial {origin['parent']} after epoch {origin['parent_step']}"
    if "steps" in origin:
        saved = f", saved after epoch {origin['step']}" if "step" in origin else ""
        yield "epochs", f"{origin['steps']}{saved}"
    if "seconds" in origin:
        yield "wall-clock", f"{span(origin['seconds'])} ({origin['seconds']:.1f} s)"
    for key, name in (("peak_memory", "peak memory"), ("peak_gpu_memory", "peak GPU memory")):
        if origin.get(key):
            yield name, size(origin[key])
    if "attempts" in origin:
        endings = (str(each.get("ending", "running")) for each in origin["attempts"])
        yield "attempts", f"{len(origin['attempts'])}: {', '.join(endings)}"


def _code(version: ModelVersion) -> Iterator[tuple[str, Any]]:
    """The folder that the study was run in; `-dirty` is what marks a commit that files differ from."""
    here = version.provenance.get("environment") or {}
    commit = version.git_commit
    if commit is None:
        yield "commit", "not recorded: no git repository"
        return
    yield "commit", commit.removesuffix("-dirty")
    yield "branch", here.get("git_branch")
    yield "changed", "yes" if commit.endswith("-dirty") else "no"
    if here.get("git_diff_sha256"):
        yield "diff sha256", here["git_diff_sha256"]


def _machine(here: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if here.get("platform"):
        yield "platform", here["platform"]
    hardware = here.get("hardware")
    if hardware:
        yield "processor", f"{hardware['cpu']}, {count(hardware['cores'], 'core')}"
        yield "memory", size(hardware["memory"])
        yield "GPUs", ", ".join(gpu["name"] for gpu in hardware["gpus"])


def _files(version: ModelVersion) -> Iterator[str]:
    """Two lines each: a name, and the 64 characters of its sha256."""
    for name, about in version.files.items():
        yield f"  {clean(name)}: {about['size'] or '?'} bytes"
        yield f"    sha256 {about['sha256']}"


def _yaml(value: Any) -> str:
    """As a study file writes it."""
    return value if isinstance(value, str) else json.dumps(value)
