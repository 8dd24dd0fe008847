"""The objective `python`: which function it finds, how it calls it, and what it says when it cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hpo_local.inline import Inline

from hpo_core import Ending
from hpo_core.testing.execution import ScriptedStudy, Switch, again_after, make_trials, pause_at

MODULE = """
import my_tuned_neighbour

FACTOR = 2

class Nested:
    @staticmethod
    def inner(x): return x + 1

def plain(x, y=1.0): return x * y
def several(x): return {"score": x, "loss": 1.0 - x}
def reporting(trial, x):
    for step in (1, 2):
        trial.report(step, {"score": x * step})
def running(run, *, x): return x + run.trial.number
def last(x, run=None): return x + run.trial.number
def own(x, *, run): return x if run == "mine" else None
def saving(run, steps):
    first = 1 if run.restored is None else run.restored.step + 1
    for step in range(first, steps + 1):
        with run.checkpoint(step) as folder:
            (folder / "state").write_text(str(step))
        if run.report(step, {"score": float(first)}).stop:
            return
def counted(x, epochs=1): return x * epochs
def lazy(x):
    import my_tuned_late
    return my_tuned_late.VALUE * x
def broken(x): raise KeyError("mine")
"""


@pytest.fixture
def code(tmp_path: Path) -> Iterator[Path]:
    """A folder with a user's module."""
    (tmp_path / "my_tuned.py").write_text(MODULE)
    (tmp_path / "my_tuned_neighbour.py").write_text("")
    (tmp_path / "my_tuned_late.py").write_text("VALUE = 10")
    (tmp_path / "my_tuned_incomplete.py").write_text("import not_installed_anywhere")
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path, "the path was not put back"
    for name in [name for name in sys.modules if name.startswith("my_tuned")]:
        del sys.modules[name]


def call(code: Path, function: str, *, allowed: bool = True, **arguments: Any) -> ScriptedStudy:
    code_path = [str(code)] if allowed else None
    config = {"call": function, "arguments": arguments}
    study = ScriptedStudy(make_trials(code, 1, "python", code_path=code_path, **config))
    Inline().run(study, Switch())
    return study


@pytest.mark.parametrize(
    ("function", "scores"),
    [
        ("plain", [3.0]),
        ("several", [3.0]),
        ("reporting", [3.0, 6.0]),
        ("running", [3.0]),
        ("last", [3.0]),
        ("lazy", [30.0]),
        ("Nested.inner", [4.0]),
    ],
)
def test_a_function_is_called(code: Path, function: str, scores: list[float]) -> None:
    study = call(code, f"my_tuned:{function}", x=3.0)
    assert study.endings == [Ending.COMPLETED], study.outcomes
    assert [report.metrics["score"] for report in study.reports[0]] == scores


def test_an_argument_may_be_called_run(code: Path) -> None:
    study = call(code, "my_tuned:own", x=3.0, run="mine")
    assert [report.metrics["score"] for report in study.reports[0]] == [3.0]


@pytest.mark.parametrize(("function", "score"), [("counted", 12.0), ("plain", 3.0)])
def test_the_last_epoch_is_known_to_schedulers_and_to_functions_that_ask(
    code: Path, function: str, score: float
) -> None:
    config = {"call": f"my_tuned:{function}", "arguments": {"x": 3.0}, "epochs": 4}
    trials = make_trials(code, 1, "python", code_path=[str(code)], **config)
    study = ScriptedStudy(trials)
    Inline().run(study, Switch())
    assert trials[0].epochs == 4
    assert [report.metrics["score"] for report in study.reports[0]] == [score]


def test_a_function_is_paused_and_resumed(code: Path) -> None:
    config = {"call": "my_tuned:saving", "arguments": {"steps": 3}}
    study = ScriptedStudy(make_trials(code, 1, "python", code_path=[str(code)], **config))
    study.decide = pause_at(2)
    study.again = lambda trial, outcome: again_after(study, Ending.PAUSED, trial, outcome)
    Inline().run(study, Switch())
    assert study.attempts[0, 1].ending == Ending.PAUSED
    assert [(report.step, report.metrics["score"]) for report in study.reports[0]] == [
        (1, 1.0),
        (2, 1.0),
        (3, 3.0),
    ]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("my_tund:plain", "HpoError: there is no module 'my_tund' in "),
        ("my_tuned.sub:plain", "HpoError: there is no module 'my_tuned.sub' in "),
        ("my_tuned:plan", "HpoError: module 'my_tuned' has no 'plan'"),
        ("my_tuned:FACTOR", "HpoError: my_tuned:FACTOR is not a function: 2"),
        ("my_tuned_incomplete:f", "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("my_tuned:broken", "KeyError: 'mine'"),
    ],
)
def test_a_mistake_fails_the_trial_and_says_why(code: Path, function: str, reason: str) -> None:
    study = call(code, function, x=3.0)
    assert study.endings == [Ending.FAILED]
    assert study.outcomes[0].reason.startswith(reason)


def test_a_wrong_argument_is_named(code: Path) -> None:
    study = call(code, "my_tuned:plain", x=3.0, z=1)
    assert "unexpected keyword argument 'z'" in study.outcomes[0].reason


def test_code_must_be_allowed(code: Path) -> None:
    study = call(code, "my_tuned:plain", allowed=False, x=3.0)
    assert study.endings == [Ending.FAILED]
    assert "--allow-code" in study.outcomes[0].reason
    assert "my_tuned" not in sys.modules
