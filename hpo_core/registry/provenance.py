"""What a result was made with: the commit of the code and the versions of the libraries."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "hpo-core",
    "optuna",
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "torchmetrics",
    "scikit-learn",
    "numpy",
    "ray",
)


def versions() -> dict[str, str]:
    """The installed versions of Python and of the main libraries; those not installed are left out."""
    found = {"python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit(folder: Path) -> str | None:
    """The commit checked out in `folder`, with `-dirty` when files differ, or None outside a repository."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()
