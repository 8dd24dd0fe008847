"""What a result is made with here and now: the code, the versions of the libraries, and the machine.

Asked once when a driver begins, and kept with what it says first (`study_started`): all its trials refer to it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

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


def surroundings(folder: Path) -> dict[str, Any]:
    """Everything about here and now, in JSON types; the code is what lies in `folder`."""
    return {
        "git_commit": git_commit(folder),
        **code(folder),
        "versions": versions(),
        "platform": platform.platform(),
        "hardware": hardware(),
    }


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
        commit = _said(folder, "rev-parse", "HEAD")
        changed = _said(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed else commit


def code(folder: Path) -> dict[str, Any]:
    """The branch that `folder` is on, and the sha256 of what differs from its commit (None: nothing, or no repository).

    The latter is that of what `git diff HEAD --binary` says; files that git does not know are not in it. A commit that
    is checked out without a branch has none.
    """
    try:
        branch = _said(folder, "rev-parse", "--abbrev-ref", "HEAD")
        differs = _git(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv")
    except (OSError, subprocess.SubprocessError):
        return {"git_branch": None, "git_diff_sha256": None}
    digest = hashlib.sha256(differs).hexdigest() if differs else None
    return {"git_branch": None if branch == "HEAD" else branch, "git_diff_sha256": digest}


@functools.cache
def hardware() -> dict[str, Any]:
    """The processor, the memory in bytes and the GPUs of this machine; the trials of a cluster run on others."""
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _processor(),
        "cores": usable,
        "memory": psutil.virtual_memory().total,
        "gpus": _gpus(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _gpus() -> list[dict[str, Any]]:
    """The GPUs by NVIDIA's management library; none where there is no driver."""
    try:
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
    except (
        Exception
    ):  # not installed, no driver, or one that fails: this machine has no GPU to speak of
        return []
    try:
        found = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [_gpu(pynvml, handle) for handle in found]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, handle: Any) -> dict[str, Any]:
    return {
        "name": str(nvml.nvmlDeviceGetName(handle)),
        "memory": int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
        "driver": str(nvml.nvmlSystemGetDriverVersion()),
    }


def _said(folder: Path, *arguments: str) -> str:
    return _git(folder, *arguments).decode(errors="backslashreplace").strip()


def _git(folder: Path, *arguments: str) -> bytes:
    """What git says; it changes nothing, not even its own notes of which files it has looked at."""
    done = subprocess.run(
        ["git", "--no-optional-locks", "-C", str(folder), *arguments],
        capture_output=True,
        timeout=10,
        check=True,
    )
    return done.stdout
