"""The README stays true: its commands are run, its studies checked, its hooks and exit codes compared with the code."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpo_core import errors, hookspecs, plugins
from hpo_core.catalog import Entry
from hpo_core.cli.main import COMMANDS
from hpo_core.hookspecs import HOOKS
from hpo_core.spec import check
from hpo_core.yaml_source import parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def hpo_commands() -> list[str]:
    """Every line of a shell block that begins with `hpo`, without its comment."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith("hpo ")]


STAND_IN = """
from hpo_core import ClassReport

def stand_in(run, lr, lr_scheduler, split_seed):
    right = 40 + len(lr_scheduler) + split_seed
    confusion = ((0, 0, right), (0, 1, 60 - right), (1, 1, 50), (1, 0, 10))
    share = (right / 60, 50 / 60)
    classes = ClassReport(("0", "1"), share, share, share, confusion)
    run.report(1, {"val_accuracy": sum(share) / 2 - lr}, classes)
"""
STUDY = """
study: {name}
metric: {{name: val_accuracy, goal: maximize}}
budget: {{trials: 12}}
objective:
  name: python
  call: stand_in:stand_in
  arguments:
    lr: {{float: [0.01, 0.1]}}
    lr_scheduler: {{choice: [cosine, one-cycle]}}
    split_seed: {{choice: [0, 1]}}
executor: inline
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's studies, and two that stand in for those of the README, which have been run."""
    made = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "studies", made / "studies")
    (made / "studies" / "stand_in.py").write_text(STAND_IN)
    for name in ("resnet_lr", "scheduler_shootout"):
        (made / "studies" / "small.yaml").write_text(STUDY.format(name=name))
        done = run(made, "hpo run studies/small.yaml --allow-code")
        assert done.returncode == 0, done.stderr
    return made


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command line of the README, in a folder."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("command", hpo_commands())
def test_commands_run(folder: Path, command: str) -> None:
    if command == "hpo dashboard":  # serves until it is stopped: tests/test_dashboard.py runs it
        command += " --help"
    submits = command.startswith("hpo submit ")
    if (
        submits
    ):  # as far as asking the cluster: plugins/hpo-ray/tests and tests/test_docker.py have one
        command += " --address http://127.0.0.1:1"
    done = run(folder, command)
    if submits:
        assert done.returncode == 2 and "nobody answers at http://127.0.0.1:1" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_commands_are_those_that_there_are() -> None:
    named = set(re.findall(r"^\| `hpo ([a-z-]+)", README, re.MULTILINE))
    named |= set(re.findall(r"`hpo ([a-z-]+)[ `]", README.split("## Commands")[1].split("##")[0]))
    catalog, _ = plugins.load()
    assert named == {*COMMANDS, *(name for name in catalog.names("commands") if " " not in name)}
    for group, word in (name.split() for name in catalog.names("commands") if " " in name):
        assert re.search(rf"`hpo {group} [a-z|\\ -]*{word}", README), f"hpo {group} {word}"


def test_the_first_two_commands_are_what_ci_calls() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    first, second = blocks("sh")[:2]
    getting_uv = "command -v uv >/dev/null || { python3 -m venv .uv && .uv/bin/pip install -q uv; }"
    for block in (first, second):
        assert block.startswith(f'{getting_uv}; PATH="$PWD/.uv/bin:$PATH" uv run ')
    assert getting_uv in script
    assert first.endswith("uv run hpo run studies/resnet_lr.yaml\n")
    assert second.endswith("uv run pytest\n") and "\nuv run pytest " in script


def test_studies_in_it_are_valid() -> None:
    catalog, _ = plugins.load()
    sys.path.insert(0, str(ROOT / "tests" / "third_party"))
    try:
        hpo_thermo = importlib.import_module("hpo_thermo")
    finally:
        sys.path.pop(0)
    for kind, name, factory in (
        ("objectives", "cooling", hpo_thermo.cooling),
        ("trial_schedulers", "thermostat", hpo_thermo.Thermostat),
    ):
        catalog.add(Entry(kind, name, factory, "thermo", "hpo-thermo"))
    studies = blocks("yaml")
    assert len(studies) == 2
    for text in studies:
        check(parse(text, "README.md"), catalog, ROOT / "README.md")


def test_the_plugins_are_those_that_are_tested() -> None:
    assert blocks("toml") == [(ROOT / "tests/third_party/pyproject.toml").read_text()]
    one_file = [ROOT / f"tests/one_file/hpo_{name}.py" for name in ("tiny", "knee", "stripes")]
    in_python = [ROOT / f"tests/{name}_in_python.py" for name in ("study", "registry")]
    files = [*in_python, ROOT / "tests/third_party/hpo_thermo.py", *one_file]
    assert blocks("python") == [file.read_text() for file in files]


def test_every_hook_is_documented_with_its_signature() -> None:
    documented = re.findall(r"^### `(register_.*)`$", README, re.MULTILINE)
    hooks = [getattr(hookspecs, f"register_{kind}") for kind in HOOKS]
    spoken = [
        f"{hook.__name__}{inspect.signature(hook)}".replace("'", "").replace(
            "hpo_core.hookspecs.", ""
        )
        for hook in hooks
    ]
    assert documented == spoken


def test_every_hook_has_a_first_party_implementation() -> None:
    catalog, found = plugins.load()
    assert not [plugin for plugin in found if plugin.error]
    assert all(catalog.entries(kind) for kind in HOOKS)


def test_exit_codes_are_those_of_the_errors() -> None:
    table = README.split("| exit code | means |")[1].split("\n\n")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    raised = {
        item.exit_code
        for item in vars(errors).values()
        if inspect.isclass(item) and issubclass(item, errors.HpoError)
    }
    assert documented == raised | {0}
