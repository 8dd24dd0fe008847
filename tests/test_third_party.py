"""A third party's distribution, built and installed for real, and used by name from a study file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HPO = str(Path(sys.executable).with_name("hpo"))
SOURCE = Path(__file__).with_name("third_party")
STUDY = """\
study: coffee
metric: {name: degrees, goal: minimize}
budget: {trials: 6}
seed: 2
objective: {name: cooling, rate: {float: [0.0, 0.9]}}
sampler: random
trial_scheduler: {name: thermostat, bound: -60}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the distribution installed: a wheel of pure Python is installed by unpacking it."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(command, cwd=SOURCE, check=True, capture_output=True, timeout=60)
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(target)
    return target


def hpo(folder: Path, *words: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with or without the distribution."""
    environment = os.environ | ({"PYTHONPATH": str(site)} if site else {})
    return subprocess.run(
        [HPO, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the study."""
    (tmp_path / "coffee.yaml").write_text(STUDY)
    return tmp_path


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_study_names_what_a_third_party_offers(folder: Path, site: Path, executor: str) -> None:
    done = hpo(folder, "run", "coffee.yaml", f"executor={executor}", site=site)
    assert done.returncode == 0, done.stderr
    trials = json.loads(hpo(folder, "trials", "coffee", "--json").stdout)
    assert len(trials) == 6
    for trial in trials:
        rate = trial["params"]["rate"]
        stopped = 20 + 70 * (1 - rate) > 60
        assert trial["state"] == ("pruned" if stopped else "complete")
        assert trial["epochs"] == (1 if stopped else 5)
        if stopped:
            assert trial["reason"].endswith("< -60")
    assert {trial["state"] for trial in trials} == {"pruned", "complete"}


def test_it_is_listed_with_its_distribution(folder: Path, site: Path) -> None:
    plugins = json.loads(hpo(folder, "plugins", "list", "--json", site=site).stdout)
    (ours,) = [plugin for plugin in plugins if plugin["name"] == "thermo"]
    assert (ours["distribution"], ours["version"]) == ("hpo-thermo", "1.0")
    shown = hpo(folder, "plugins", "show", "thermostat", site=site).stdout
    assert "bound" in shown and "the least score" in shown


def test_without_it_the_study_is_refused(folder: Path) -> None:
    done = hpo(folder, "validate", "coffee.yaml")
    assert done.returncode == 3
    assert "coffee.yaml:5:13: objective.name: there is no objective 'cooling'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_version_stops_only_who_needs_it(
    folder: Path, site: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broken = tmp_path_factory.mktemp("broken")
    for path in site.rglob("*"):
        if path.is_file():
            copy = broken / path.relative_to(site)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (broken / "hpo_thermo.py").write_text("import no_such_library\n")
    done = hpo(folder, "validate", "coffee.yaml", site=broken)
    assert done.returncode == 4
    assert "no_such_library" in done.stderr and "Traceback" not in done.stderr
    (folder / "f.py").write_text("def f(x): return x * x\n")
    other = "study: other\nmetric: {name: v, goal: minimize}\nbudget: {trials: 2}\n"
    other += "objective: {name: python, call: 'f:f', arguments: {x: {float: [0, 1]}}}\n"
    (folder / "other.yaml").write_text(other + "executor: inline\n")
    assert hpo(folder, "run", "other.yaml", "--allow-code", site=broken).returncode == 0
    listed = hpo(folder, "plugins", "list", site=broken)
    assert "no_such_library" in listed.stdout
