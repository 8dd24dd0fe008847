"""Commands of plugins: found by their hook, shown in the help, and harmless when they are broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo_core.cli.main import COMMANDS
from hpo_core.commands import read_study
from hpo_core.errors import StudyFileError
from hpo_core.testing.distributions import use_distributions, write_distribution

HPO = str(Path(sys.executable).with_name("hpo"))
BREW = """
from typing import Annotated
import typer
from hpo_core import HpoError, hookimpl

def brew(cups: Annotated[int, typer.Argument(help="how many")] = 1) -> None:
    \"\"\"Make coffee.

    It takes a while.
    \"\"\"
    if cups > 9:
        raise HpoError("too much")
    print("cup " * cups)

beans = typer.Typer(help="Look after beans.")

@beans.command()
def roast(): print("roasted")

@beans.command()
def count(): print(12)

@hookimpl
def register_commands(register):
    register("brew", brew)
    register("beans", "{module}:beans")
    register("lost", "no_such_module:command")
    register("run", brew)
    register("beans grind", brew)
    register("models brew", brew)
    register("models list", brew)
"""


@pytest.fixture
def brewing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a distribution that offers commands, installed."""
    source = BREW.replace("{module}", "hpo_brew_a")
    write_distribution(tmp_path, "hpo-brew-a", source, plugin="brew")
    use_distributions(monkeypatch, tmp_path)
    return tmp_path


def hpo(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HPO, *words], capture_output=True, text=True, timeout=60, env=os.environ)


def test_a_function_is_a_command(brewing: Path) -> None:
    done = hpo("brew", "3")
    assert (done.returncode, done.stdout) == (0, "cup cup cup \n")
    shown = hpo("brew", "--help").stdout
    assert "Usage: hpo brew" in shown and "It takes a while." in shown and "how many" in shown
    failed = hpo("brew", "10")
    assert (failed.returncode, failed.stderr) == (1, "error: too much\n")


def test_a_group_is_a_group_of_commands(brewing: Path) -> None:
    assert hpo("beans", "roast").stdout == "roasted\n"
    assert hpo("beans", "count").stdout == "12\n"


def test_a_group_is_joined_by_commands_of_others(brewing: Path) -> None:
    assert hpo("beans", "grind", "2").stdout == "cup cup \n"
    assert hpo("models", "brew").stdout == "cup \n"
    assert "Usage: hpo models brew" in hpo("models", "brew", "--help").stdout
    shown = hpo("models", "--help").stdout
    assert "Make coffee." in shown and "Every model version" in shown  # ours are not replaced
    assert "grind" not in hpo("--help").stdout


def test_the_help_names_them_after_ours_and_says_which_is_broken(brewing: Path) -> None:
    shown = hpo("--help")
    assert shown.returncode == 0
    lines = {line.split()[0]: line for line in shown.stdout.splitlines() if line.startswith("  ")}
    assert lines["brew"].endswith("Make coffee.") and lines["beans"].endswith("Look after beans.")
    assert "BROKEN" in lines["lost"]
    assert shown.stdout.index("  doctor ") < shown.stdout.index("  beans ")
    assert lines["run"].endswith(COMMANDS["run"][1])  # ours: no plugin takes a command over
    lost = hpo("lost")
    assert lost.returncode == 4
    assert "command 'lost' of plugin 'brew' (hpo-brew-a): cannot import" in lost.stderr


def test_they_are_listed_with_what_their_plugin_offers(brewing: Path) -> None:
    assert "7 commands" in hpo("plugins", "list").stdout
    assert "commands: " in hpo("plugins", "show", "hpo-brew-a").stdout


def test_an_unknown_command_is_no_plugins_fault(brewing: Path) -> None:
    done = hpo("brw")
    assert done.returncode == 2
    assert "No such command 'brw'. Did you mean 'brew'?" in done.stderr


def test_a_command_of_two_plugins_is_nobodys(brewing: Path) -> None:
    source = BREW.replace("{module}", "hpo_brew_b")
    write_distribution(brewing, "hpo-brew-b", source, plugin="brew-b")
    done = hpo("brew")
    assert done.returncode == 4
    assert "'hpo-brew-a:brew' and 'hpo-brew-b:brew'" in done.stderr
    assert "offered by" in hpo("--help").stdout


def test_a_command_of_a_plugin_that_does_not_load_says_so(brewing: Path) -> None:
    write_distribution(brewing, "hpo-brew-c", "import no_such_library", plugin="brew-c")
    done = hpo("grind-and-press")
    assert done.returncode == 4
    assert "brew-c: ModuleNotFoundError" in done.stderr and "Traceback" not in done.stderr


def test_a_study_is_read_with_what_another_machine_must_have(tmp_path: Path) -> None:
    text = "study: far\nmetric: {name: v, goal: minimize}\nbudget: {trials: 2}\nsampler: random\n"
    text += "objective: {name: python, call: 'f:f', arguments: {x: '${env:NOT_SET_A}'}}\n"
    text += "storage: ${env:NOT_SET_B}\nexecutor: inline\n"
    (tmp_path / "far.yaml").write_text(text)
    with pytest.raises(StudyFileError, match="NOT_SET_A is not set"):
        read_study(tmp_path / "far.yaml")
    study = read_study(tmp_path / "far.yaml", ["budget.trials=3"], runs_here=False)
    assert study.name == "far" and study.given["budget"] == {"trials": 3}
    assert study.environment == ["NOT_SET_A", "NOT_SET_B"]
    assert list(study.versions) == ["hpo-core", "hpo-local", "hpo-search"]
    assert study.understood["storage"] == "${env:NOT_SET_B}"
    assert study.understood["executor"]["name"] == "inline"
