"""`hpo doctor`: what this machine has and what is wrong with it, to be pasted into a bug report.

Each line of the report is a finding of one check; a check that fails says so and the others go on. Nothing is created:
a database that is not there yet is no fault.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Json, Storage
from hpo_core.cli.tables import aligned
from hpo_core.cli.wording import clean, size
from hpo_core.errors import PluginError, StorageError

Status = Literal["ok", "note", "broken"]
DISTRIBUTION = "hpo-core"
RUNS = Path("runs")  # where a study keeps its files unless it says otherwise
LOW_DISK_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    """What one check found. `section` is software, machine, devices, storage or plugins."""

    section: str
    name: str
    value: str
    status: Status = "ok"


def doctor(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """Report versions, devices, disk, storage and plugins; exit code 4 or 5 when one is broken."""
    findings = list(examine(storage))
    if as_json:
        print(json.dumps(document(findings), indent=2))
    else:
        for line in report_lines(findings):
            print(line)
    broken = {finding.section for finding in findings if finding.status == "broken"}
    if "plugins" in broken:
        raise typer.Exit(PluginError.exit_code)
    if "storage" in broken:
        raise typer.Exit(StorageError.exit_code)


def examine(storage: str) -> Iterator[Finding]:
    """Every check, the quick ones first."""
    from hpo_core.cli.devices import device_findings
    from hpo_core.cli.storage_check import storage_findings

    yield from _software()
    yield from _machine()
    yield from _plugins()
    yield from (Finding("storage", *found) for found in storage_findings(storage))
    yield from (Finding("devices", *found) for found in device_findings())


def document(findings: list[Finding]) -> dict[str, Any]:
    """The findings by section, as `--json` prints them."""
    sections: dict[str, Any] = {}
    for finding in findings:
        row = {key: value for key, value in asdict(finding).items() if key != "section"}
        sections.setdefault(finding.section, []).append(row)
    return {"healthy": not any(f.status == "broken" for f in findings)} | sections


def report_lines(findings: list[Finding]) -> Iterator[str]:
    """The findings as people read them, a block for each section."""
    for section in dict.fromkeys(finding.section for finding in findings):
        yield section
        rows = [
            (f"  {finding.name}", _marked(finding))
            for finding in findings
            if finding.section == section
        ]
        yield from aligned(rows)
    broken = [finding.name for finding in findings if finding.status == "broken"]
    yield f"broken: {', '.join(broken)}" if broken else "nothing is broken"


def _marked(finding: Finding) -> str:
    return finding.value if finding.status == "ok" else f"{finding.status.upper()}: {finding.value}"


def _software() -> Iterator[Finding]:
    yield Finding("software", "hpo", _version(DISTRIBUTION) or "not installed")
    yield Finding("software", "python", f"{platform.python_version()} at {sys.executable}")
    yield Finding("software", "platform", platform.platform())
    for name in _required():
        version = _version(name)
        status: Status = "ok" if version else "note"
        yield Finding("software", name, version or "not installed", status)


def _required() -> list[str]:
    """What hpo-core and the installed plugins require, so that no list here names their libraries again."""
    from hpo_core.plugins import installed

    ours = {DISTRIBUTION} | {point.dist.name for point in installed() if point.dist}
    names: set[str] = set()
    for distribution in ours:
        if _version(distribution) is None:
            continue
        for line in importlib.metadata.requires(distribution) or []:
            if "extra ==" not in line and (match := re.match(r"[A-Za-z0-9._-]+", line)):
                names.add(match.group().lower().replace("_", "-"))
    return sorted(names - {name.lower().replace("_", "-") for name in ours})


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("machine", "cores", f"{allowed} usable of {os.cpu_count()}")
    yield Finding("machine", "memory", f"{size(memory.available)} free of {size(memory.total)}")
    folder = next(path for path in (RUNS.absolute(), *RUNS.absolute().parents) if path.exists())
    disk = shutil.disk_usage(folder)
    status: Status = "note" if disk.free < LOW_DISK_BYTES else "ok"
    yield Finding(
        "machine", "disk", f"{size(disk.free)} free of {size(disk.total)} at {folder}", status
    )
    if not os.access(folder, os.W_OK):
        yield Finding("machine", "runs folder", f"{folder} cannot be written to", "note")


def _plugins() -> Iterator[Finding]:
    from hpo_core.hookspecs import HOOKS
    from hpo_core.plugins import load_enabled

    catalog, plugins = load_enabled()
    for plugin in plugins:
        where = f"{plugin.distribution} {plugin.version}"
        if plugin.disabled is not None:
            yield Finding("plugins", plugin.name, f"{where}, disabled by {plugin.disabled}")
        elif plugin.error is None:
            yield Finding("plugins", plugin.name, where)
        else:
            yield Finding("plugins", plugin.name, f"{where}: {clean(plugin.error)}", "broken")
    if not plugins:
        yield Finding("plugins", "none", "no plugin is installed: no study can run", "note")
    for kind in HOOKS:
        for name in catalog.names(kind):
            offers = [entry for entry in catalog.entries(kind) if entry.name == name]
            if len(offers) > 1:
                both = " and ".join(sorted({entry.distribution for entry in offers}))
                yield Finding("plugins", f"{kind} {name}", f"offered by {both}", "note")
