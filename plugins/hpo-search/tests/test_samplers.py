"""What samplers do beyond the contract: models that beat chance, options, imports, other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from math import log10
from statistics import median
from typing import Any

import optuna
import pytest
from hpo_search import _qmc, samplers
from hpo_search._cma import CmaEsSampler
from optuna.trial import TrialState

from hpo_core import Space
from hpo_core.catalog import Catalog
from hpo_core.options import options_of
from hpo_core.plugins import load
from hpo_core.sampling import SamplerContext
from hpo_core.testing.search import SPACES, AskTell

BOWL = Space({"x": {"float": [-5, 5]}, "y": {"float": [1e-3, 1e3], "log": True}})
SEEDS = (1, 2, 3)
COMPLETE = (TrialState.COMPLETE,)

Build = Callable[[SamplerContext], optuna.samplers.BaseSampler]


class Bowl(AskTell):
    """The least is 0, at x = 2 and y = 0.1, off every middle."""

    def tell(self, trial: optuna.Trial, proposed: dict[str, Any], ending: TrialState) -> None:
        self.study.tell(trial, -bowl(proposed))


def bowl(point: dict[str, Any]) -> float:
    return float((point["x"] - 2) ** 2 + (log10(point["y"]) + 1) ** 2)


def typical_best(build: Build, trials: int) -> float:
    return median(
        min(bowl(point) for point in Bowl(build, BOWL, seed).run(trials, COMPLETE))
        for seed in SEEDS
    )


@pytest.fixture(scope="module")
def chance() -> float:
    return typical_best(samplers.random, 40)


@pytest.mark.parametrize(
    ("build", "trials"),
    [
        (samplers.tpe, 40),
        (samplers.cma_es, 40),
        (lambda context: samplers.gp(context, startup_trials=8), 11),
        (samplers.qmc, 64),
    ],
    ids=["tpe", "cma-es", "gp", "qmc"],
)
def test_models_beat_chance_on_a_bowl(build: Build, trials: int, chance: float) -> None:
    assert typical_best(build, trials) < chance / 2


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    catalog, plugins = load()
    assert next(plugin for plugin in plugins if plugin.name == "search").error is None
    return catalog


NAMES = {"random", "grid", "qmc", "tpe", "gp", "ranked-gp", "cma-es", "genetic"}
SCHEDULERS = {
    *("none", "median", "percentile", "threshold", "patience", "any", "all", "asha"),
    *("asha-promotion", "delayed-asha", "hyperband", "bohb", "pasha", "one-epoch-top-k", "pbt"),
}
REQUIRED = {("threshold", "bound"), ("any", "of"), ("all", "of")}  # no default makes sense


def test_all_are_registered_and_every_option_is_described(catalog: Catalog) -> None:
    entries = [*catalog.entries("samplers"), *catalog.entries("trial_schedulers")]
    ours = [entry for entry in entries if entry.plugin == "search"]
    assert {entry.name for entry in ours} == NAMES | SCHEDULERS
    for entry in ours:
        for option in options_of(entry.factory).values():
            assert option.description, f"{entry.name}.{option.name}"
            assert option.required == ((entry.name, option.name) in REQUIRED)


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_reading_the_options_imports_neither_optuna_nor_torch() -> None:
    code = f"""
import sys
from hpo_core.options import options_of
from hpo_core.plugins import load
catalog, _ = load()
for name in {sorted(NAMES)}: options_of(catalog.entry("samplers", name).factory)
for name in {sorted(SCHEDULERS)}: options_of(catalog.entry("trial_schedulers", name).factory)
print(sorted({{"optuna", "torch", "scipy", "numpy"}} & set(sys.modules)))
"""
    assert run_python(code).strip() == "[]"


PROPOSE = """
import json
from hpo_core.testing.search import MIXED, SPACES, AskTell
from hpo_search import samplers
builds = {
    "tpe": lambda context: samplers.tpe(context, startup_trials=3),
    "cma-es": lambda context: samplers.cma_es(context, population_size=4),
    "genetic": lambda context: samplers.genetic(context, population_size=2),
}
for name, build in builds.items():
    print(name, json.dumps(AskTell(build, SPACES["conditional"]).run(20, MIXED)))
"""


def test_another_process_proposes_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    # Python orders sets of strings otherwise in each process: a sampler must not care
    exec(PROPOSE, {})
    ours = capsys.readouterr().out
    assert json.loads(ours.splitlines()[0].removeprefix("tpe "))
    assert run_python(PROPOSE, PYTHONHASHSEED="1") == ours


def test_tpe_models_a_conditional_space_without_a_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sampler = samplers.tpe(SamplerContext(1, 1, 0, SPACES["conditional"]))
    assert not caught
    assert sampler._group  # type: ignore[attr-defined]  # Optuna shows it nowhere else


def test_qmc_fills_every_box_of_a_conditional_space_evenly() -> None:
    space = Space(
        {
            "kind": {"choice": ["a", {"name": "b", "x": {"float": [0, 1]}}]},
            "y": {"float": [0, 1]},
        }
    )
    points = [_qmc.point(space, "sobol", number, 5, True) for number in range(16)]
    boxes = [(point["kind"], int(4 * float(str(point["y"])))) for point in points]
    assert sorted(boxes.count(box) for box in set(boxes)) == [2] * 8


def test_qmc_draws_another_sequence_for_another_study() -> None:
    one, other = (_qmc.point(BOWL, "sobol", 3, seed, True) for seed in (1, 2))
    assert one != other
    plain, again = (_qmc.point(BOWL, "halton", 3, seed, False) for seed in (1, 2))
    assert plain == again


def test_cma_es_stores_a_number_and_no_pickle() -> None:
    session = AskTell(lambda context: samplers.cma_es(context, population_size=4), BOWL)
    session.run(12, COMPLETE)
    attributes = [trial.system_attrs for trial in session.study.trials]
    assert attributes == [{"cma-es:generation": number // 4} for number in range(12)]


def test_a_slow_trial_does_not_change_what_cma_es_was_told() -> None:
    session = AskTell(lambda context: samplers.cma_es(context, population_size=4), BOWL)
    slow = session.ask()
    session.run(4, COMPLETE)
    replay = CmaEsSampler(SamplerContext(1, 1, 5, BOWL), 4)._replay
    before = replay(session.study)
    session.tell(*slow, TrialState.COMPLETE)
    after = replay(session.study)
    assert before.generation == after.generation == 1
    assert before.mean.tolist() == after.mean.tolist()
