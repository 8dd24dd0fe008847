"""Light front, heavy back: what the quick commands import, asserted on `sys.modules` of a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[1] / "studies"
HEAVY = {"torch", "optuna", "ray", "lightning", "timm", "torchvision", "sqlalchemy", "pandas"}
STORES = {"fsspec", "s3fs", "aiobotocore", "botocore", "aiohttp"}

PROBE = """\
import atexit, json, sys
atexit.register(lambda: print("MODULES", json.dumps(sorted(sys.modules)), file=sys.stderr))
sys.argv[0] = "hpo"
from hpo_core.cli.main import main
main()
"""


def imported(*words: str, cwd: Path) -> set[str]:
    """The modules that a command has imported when it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        cwd=cwd,
        env=os.environ | {"TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stderr.splitlines() if line.startswith("MODULES "))
    found = set(json.loads(line.removeprefix("MODULES ")))
    assert "hpo_core.cli.main" in found
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["--version"],
        ["validate", str(STUDIES / "resnet_lr.yaml")],
        ["validate", str(STUDIES / "branin.yaml")],
        ["plugins"],
        ["list", "samplers"],
        ["schema"],
        ["extract", "model: resnet18"],
        ["results", "--help"],
        ["results", "query", "--help"],
    ],
    ids=lambda words: " ".join(Path(word).name for word in words),
)
def test_quick_commands_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    assert imported(*words, cwd=tmp_path) & (HEAVY | STORES) == set()


def test_a_store_is_not_imported_to_check_its_address(tmp_path: Path) -> None:
    words = ("validate", str(STUDIES / "branin.yaml"), "checkpoints=s3://bucket/hpo")
    assert imported(*words, cwd=tmp_path) & (HEAVY | STORES) == {"fsspec"}


def test_the_help_imports_no_command(tmp_path: Path) -> None:
    found = imported("--help", cwd=tmp_path)
    assert found & {"yaml", "rich", "hpo_core.runner", "hpo_core.cli.doctor"} == set()


def test_a_study_without_torch_runs_without_torch(tmp_path: Path) -> None:
    words = ["run", str(STUDIES / "branin.yaml"), "--allow-code", "budget.trials=2"]
    heavy = {"torch", "ray", "lightning", "timm"} | STORES
    assert imported(*words, cwd=tmp_path) & heavy == set()
    # it is finished now: saying so needs not even Optuna, and neither does looking at it
    light = HEAVY - {"sqlalchemy"}
    assert imported(*words, cwd=tmp_path) & light == set()
    for looking in (
        ["status"],
        ["trials", "branin", "--json"],
        ["best", "branin"],
        ["why", "branin", "0"],
    ):
        assert imported(*looking, cwd=tmp_path) & light == set()
