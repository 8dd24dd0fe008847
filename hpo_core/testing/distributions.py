"""Tiny installed distributions, written by a test: a plugin that is found by its entry point, in any process.

A folder with `METADATA` and `entry_points.txt` beside a module is all that `importlib.metadata` needs to see a
distribution, so nothing has to be built or installed::

    write_distribution(tmp_path, "my-plugin", "from hpo_core import hookimpl ...")
    use_distributions(monkeypatch, tmp_path)
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest


def write_distribution(
    folder: Path,
    name: str,
    module_source: str,
    *,
    version: str = "1.0.0",
    plugin: str | None = None,
) -> str:
    """Write a distribution into `folder` whose single module is its plugin; the module's name is returned.

    `plugin` is the name of the entry point in the group `hpo`, by default the distribution's. The module is called as
    the distribution, with underscores: choose names that no other test uses, because Python imports a module once.
    """
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(module_source, encoding="utf-8")
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    entry_point = f"[hpo]\n{plugin or name} = {module}\n"
    (info / "entry_points.txt").write_text(entry_point, encoding="utf-8")
    return module


def use_distributions(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make the distributions in `folder` installed for this test, here and in the processes it starts."""
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(folder), *([inherited] if inherited else [])])
    )
    importlib.invalidate_caches()
