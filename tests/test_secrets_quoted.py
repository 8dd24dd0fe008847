"""Whatever a plugin of any kind does with what `${env:NAME}` stands for: nothing that is kept or printed quotes it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from forking import Forks

from hpo_core.testing.distributions import use_distributions, write_distribution

CANARY = 'canary\'s "5e\\c2"  in two\nlines'
"""Python, JSON, a URL and a message of one line each write it in a way of their own."""

PLUGIN = '''
"""Components that quote their secret, as FAULT says: where, and by which deed."""

import json
import logging
import os
import sys
import urllib.parse
import warnings
from typing import Annotated, Literal

import optuna
from pydantic import Field

from hpo_core import CONTINUE, Component, Decision, Ending, Kind, Outcome, TrialScheduler, hookimpl

Token = Annotated[str, Field(description="A secret.")]
fault = [""]


def quote(place, token):
    """Say the secret in every way that Python has, and raise it."""
    if place not in (fault[0], os.environ.get("HPO_TEST_FAULT")):
        return
    said = f"{place} was given {token} {token!r} {json.dumps(token)} {urllib.parse.quote(token)}"
    print(said)
    print("sys.stderr:", said, file=sys.stderr)
    sys.stderr.writelines([said, "\\n"])
    warnings.warn(said)
    logging.getLogger("quoting").warning("logging: %s", said)
    try:
        raise KeyError(token)
    except KeyError as error:
        raise RuntimeError(said) from error


class Sampler(optuna.samplers.RandomSampler):
    def __init__(self, context, *, token: Token):
        super().__init__(seed=context.seed)
        self.token = token
        quote("sampler construction", token)

    def sample_independent(self, *given):
        quote("sampler call", self.token)
        return super().sample_independent(*given)


class Scheduler(TrialScheduler):
    def __init__(self, context, *, token: Token):
        self.token = token
        quote("trial_scheduler construction", token)

    def on_report(self, trial, report, score):
        quote("trial_scheduler call", self.token)
        decides = os.environ.get("HPO_TEST_FAULT") == "trial_scheduler decision"
        return Decision.stopped(f"it was given {self.token}") if decides else CONTINUE


class Executor:
    def __init__(self, *, token: Token):
        self.token = token
        quote("executor construction", token)

    def run(self, study, interrupt):
        while (trial := study.ask()) is not None:
            quote("executor call", self.token)
            study.finish(trial, Outcome(Ending.FAILED, f"it was given {self.token}", self.token))


def component(kind):
    class Made:
        def __init__(self, *given, token: Token):
            self.token = token
            quote(f"{kind} construction", token)

        def __call__(self):
            quote(f"{kind} call", self.token)

    return Made


def objective(
    run,
    *,
    token: Token,
    where: str,
    model: Annotated[Component, Kind("models")],
    optimizer: Annotated[Component, Kind("optimizers")],
    lr_scheduler: Annotated[Component, Kind("lr_schedulers")],
    loss: Annotated[Component, Kind("losses")],
    short: Annotated[str, Field(max_length=40)] = "x",
):
    fault[0] = where
    for each in (model, optimizer, lr_scheduler, loss):
        each.build()()
    quote("objective call", token)
    run.report(1, {"loss": 1.0})


@hookimpl
def register_samplers(register):
    register("quoting", Sampler)


@hookimpl
def register_trial_schedulers(register):
    register("quoting", Scheduler)


@hookimpl
def register_executors(register):
    register("quoting", Executor)


@hookimpl
def register_objectives(register):
    register("quoting", objective)


@hookimpl
def register_models(register):
    register("quoting", component("models"))


@hookimpl
def register_optimizers(register):
    register("quoting", component("optimizers"))


@hookimpl
def register_lr_schedulers(register):
    register("quoting", component("lr_schedulers"))


@hookimpl
def register_losses(register):
    register("quoting", component("losses"))
'''

KINDS = ("models", "optimizers", "lr_schedulers", "losses")
IN_A_TRIAL = [
    "objective call",
    *(f"{kind} {act}" for kind in KINDS for act in ("construction", "call")),
]

QUOTING = '{name: quoting, token: "${env:HPO_TEST_TOKEN}"}'

STUDY = f"""\
study: quoting
metric: {{name: loss, goal: minimize}}
budget: {{trials: TRIALS}}
objective:
  name: quoting
  token: "${{env:HPO_TEST_TOKEN}}"
  where: WHERE
  short: "WORD"
  model: {QUOTING}
  optimizer: {QUOTING}
  lr_scheduler: {QUOTING}
  loss: {QUOTING}
sampler: SAMPLER
trial_scheduler: SCHEDULER
executor: EXECUTOR
storage: sqlite:///hpo.db
"""

PYTHON = """\
study: quoting
metric: {name: loss, goal: minimize}
budget: {trials: 1}
objective:
  name: python
  call: own:quote
  arguments: {secret: "${env:HPO_TEST_TOKEN}", x: {float: [0, 1]}}
sampler: random
executor: EXECUTOR
storage: sqlite:///hpo.db
"""

OWN = """\
def quote(secret, x):
    print("called with", secret)
    raise ValueError(f"called with {secret}")
"""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs that have the plugin installed."""
    site = tmp_path_factory.mktemp("site")
    write_distribution(site, "hpo-quoting", PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        use_distributions(patch, site)
        patch.setenv("HPO_TEST_TOKEN", CANARY)
        patch.setenv("OMP_NUM_THREADS", "1")
        made = Forks()
        yield made
        made.close()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_TEST_TOKEN", CANARY)


def study(
    folder: Path,
    *,
    trials: int = 1,
    where: str = "{choice: [nowhere]}",
    sampler: str = "grid",
    scheduler: str = "none",
    executor: str = "inline",
) -> None:
    """Write a study file."""
    text = STUDY.replace("TRIALS", str(trials)).replace("WHERE", where)
    text = text.replace("SAMPLER", sampler).replace("SCHEDULER", scheduler)
    (folder / "study.yaml").write_text(text.replace("EXECUTOR", executor))


def searched(folder: Path, said: dict[str, str], must: str) -> None:
    """Look for the secret in all that was said, in every file and in every table; `must` stands somewhere."""
    found = dict(said)
    for path in filter(Path.is_file, folder.rglob("*")):
        found[str(path.relative_to(folder))] = path.read_bytes().decode(errors="replace")
    if (folder / "hpo.db").exists():
        with closing(sqlite3.connect(folder / "hpo.db")) as connection:
            found["the tables"] = "\n".join(connection.iterdump())
    assert [name for name, text in found.items() if "canary" in text.lower()] == []
    assert any(must in text and "${env:HPO_TEST_TOKEN}" in text for text in found.values())


def told(forks: Forks, folder: Path, *words: str, **environment: str) -> dict[str, str]:
    """Run a study, and have every command that shows something of it say that."""
    said = {}
    for command in (
        ("validate", "study.yaml"),
        ("run", "study.yaml", *words),
        ("status", "--json"),
        ("trials", "quoting"),
        ("show", "quoting", "0"),
        ("why", "quoting", "0"),
        ("replay", "quoting"),
        ("report", "quoting", "--output", "report.html"),
        ("run", "study.yaml", *words, "--json"),
    ):
        ran = forks.hpo(*command, folder=folder, **environment)
        for name, text in (("stdout", ran.out), ("stderr", ran.err)):
            said[f"{name} of {' '.join(command)}"] = text
    return said


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("sampler", "construction"),
        ("sampler", "call"),
        ("trial_scheduler", "construction"),
        ("trial_scheduler", "call"),
        ("trial_scheduler", "decision"),
        ("executor", "construction"),
        ("executor", "call"),
        ("executor", "outcome"),
    ],
)
def test_what_the_driver_calls(forks: Forks, tmp_path: Path, kind: str, act: str) -> None:
    given = {kind.removeprefix("trial_"): QUOTING}
    study(tmp_path, where="{choice: [nowhere, nowhere else]}", **given)  # type: ignore[arg-type]
    said = told(forks, tmp_path, HPO_TEST_FAULT=f"{kind} {act}")
    searched(tmp_path, said, "was given")
    for quoted in ("RuntimeError", "UserWarning", "logging: ", "sys.stderr: "):
        assert (quoted in said["stderr of run study.yaml"]) == (act in ("construction", "call"))


@pytest.mark.parametrize("executor", ["inline", "{name: processes, workers: 1}"])
def test_what_a_trial_calls(forks: Forks, tmp_path: Path, executor: str) -> None:
    where = f"{{choice: [{', '.join(IN_A_TRIAL)}]}}"
    study(tmp_path, trials=len(IN_A_TRIAL), where=where, executor=executor)
    said = told(forks, tmp_path, "--json")
    for place in IN_A_TRIAL:
        searched(tmp_path, said, f"RuntimeError: {place} was given ${{env:HPO_TEST_TOKEN}}")
    logs = [path.read_text() for path in tmp_path.glob("runs/quoting/trials/*/*/log.txt")]
    assert len(logs) == len(IN_A_TRIAL) and all("KeyError" in log for log in logs)
    heard = logs if executor != "inline" else [said["stderr of run study.yaml --json"]]
    assert all(word in log for log in heard for word in ("UserWarning", "logging: ", "sys.stderr"))


@pytest.mark.parametrize("executor", ["inline", "{name: processes, workers: 1}"])
def test_a_function_of_the_users(forks: Forks, tmp_path: Path, executor: str) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "study.yaml").write_text(PYTHON.replace("EXECUTOR", executor))
    searched(tmp_path, told(forks, tmp_path, "--allow-code"), "ValueError: called with")


def test_what_does_not_fit_its_option_is_not_quoted(forks: Forks, tmp_path: Path) -> None:
    """pydantic quotes the two ends of a long value."""
    study(tmp_path)
    text = (tmp_path / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text.replace("WORD", "${env:HPO_TEST_TOKEN}"))
    said = told(forks, tmp_path, HPO_TEST_TOKEN="CANARY" * 30)
    searched(tmp_path, said, "does not fit option 'short': String should have at most 40")


@pytest.mark.parametrize(
    "last_words",
    ["sys.exit(said)", "raise ValueError(said)", "atexit.register(print, said, file=sys.stderr)"],
)
def test_the_last_words_of_a_process(tmp_path: Path, last_words: str) -> None:
    """What Python itself prints when nobody has caught an exception, or when all is over."""
    program = (
        "import atexit, os, sys\n"
        "from hpo_core import references\n"
        "from hpo_core.cli import main\n"
        "def words():\n"
        "    said = 'given ' + references.resolve('${env:HPO_TEST_TOKEN}')\n"
        f"    {last_words}\n"
        "main.app = lambda **_: words()\n"
        "main.main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, timeout=60
    )
    assert "canary" not in ran.stdout + ran.stderr
    assert "given ${env:HPO_TEST_TOKEN}" in ran.stderr
