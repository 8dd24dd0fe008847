"""The versions that pyproject.toml calls tested are those that these tests run with."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = PROJECT["tool"]["uv"]["constraint-dependencies"]


def canonical(name: str) -> str:
    """A distribution's name as registries compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned_versions() -> dict[str, set[str]]:
    """The versions that are pinned, by name: one, or several that markers tell apart."""
    versions: dict[str, set[str]] = {}
    for line in CONSTRAINTS:
        name, version = line.split(";")[0].strip().split("==")
        versions.setdefault(canonical(name), set()).add(version)
    return versions


def test_installed_versions_are_the_tested_ones() -> None:
    ours = {canonical(path.parent.name) for path in ROOT.glob("plugins/*/pyproject.toml")} | {
        "hpo-core"
    }
    pinned = pinned_versions()
    wrong = {}
    for distribution in metadata.distributions():
        name = canonical(distribution.name)
        if name not in ours and distribution.version not in pinned.get(name, set()):
            wrong[name] = (distribution.version, pinned.get(name))
    assert not wrong, f"installed, tested: {wrong}; `uv sync`, or see tests/tested_versions.py"


def test_nothing_but_names_versions_and_markers() -> None:
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[a-z0-9._-]+==[a-z0-9.+]+( ; [a-z0-9_!<>=.' ()]+)?", line, re.I), line


@pytest.mark.parametrize(
    "project",
    [
        "pyproject.toml",
        *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("plugins/*/pyproject.toml")),
    ],
)
def test_every_distribution_states_ranges(project: str) -> None:
    declared = tomllib.loads((ROOT / project).read_text())["project"]["dependencies"]
    for line in declared:
        assert "==" not in line, f"{project}: {line} leaves no choice"
        assert re.search(r"[<>]=?", line) or canonical(line.split(";")[0].strip()).startswith(
            "hpo-"
        ), line
