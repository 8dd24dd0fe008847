"""Runs first in a job of `hpo submit`, on the cluster: is what the study was checked with here, too?

A copy of this file travels with the study and knows nothing but Python, for what it looks for may be missing. It sees
the node that the driver runs on.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

WANTED = "wanted.json"
STUDY_FILE, PLUGIN = 3, 4
"""The exit codes, as those of `hpo`."""


def main() -> int:
    """Called by the job's entrypoint; what is wrong goes to stderr."""
    wanted = json.loads(Path(__file__).with_name(WANTED).read_text(encoding="utf-8"))
    rows = list(differences(wanted["versions"]))
    if rows:
        return _say(table(rows), PLUGIN)
    if shutil.which("hpo") is None:
        here = str(Path(sys.executable).parent)
        return _say(f"error: there is no command `hpo` in the cluster's PATH ({here}?)", PLUGIN)
    unset = [name for name in wanted["environment"] if name not in os.environ]
    if unset:
        names = ", ".join(unset)
        advice = (
            "set them where `ray start` is called, on every node; values never travel with a job"
        )
        return _say(f"error: not set on the cluster: {names}: {advice}", STUDY_FILE)
    return 0


def differences(versions: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The distributions that have another version here: name, the version wanted, the version found."""
    for name, version in versions.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "not installed"
        if found != version:
            yield name, version, found


def table(rows: list[tuple[str, str, str]]) -> str:
    """The differences as people read them."""
    head = ("distribution", "submitted with", "on the cluster")
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    shown = [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(
        [
            "error: the cluster has other versions than the machine that submitted the study:",
            *shown,
            "install the same ones on every node (or here), and submit again",
        ]
    )


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
