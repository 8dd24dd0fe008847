"""A small catalog of real components for the tests of the core, so that they need no plugin."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import optuna
import pytest
from driving import Exploiting, Promoting, Scripted, saving
from hypothesis import HealthCheck, settings
from object_store import bucket as bucket
from object_store import s3_server as s3_server
from postgres import postgres as postgres
from postgres import storage as storage
from pydantic import Field
from xdist.scheduler import LoadFileScheduling

from hpo_core import (
    CONTINUE,
    Decision,
    Driven,
    Event,
    Interrupt,
    Outcome,
    Report,
    Run,
    SchedulerContext,
    Trial,
    TrialScheduler,
    runner,
)
from hpo_core.catalog import Catalog, Entry
from hpo_core.execution import execute
from hpo_core.runner import Wishes
from hpo_core.sampling import SamplerContext
from hpo_core.spec import StudySpec, check
from hpo_core.storage import database
from hpo_core.yaml_source import parse

# The machine decides how long an example takes: time is no reason to fail. Examples are the same in every run, so that
# a failure can be looked at; `HYPOTHESIS_PROFILE=search` looks for new ones.
settings.register_profile(
    "same",
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "search", settings.get_profile("same"), derandomize=False, max_examples=2000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# whoever starts the tests with `&` in a script has them ignore Ctrl-C, and so would every process that they start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class OneCluster(LoadFileScheduling):  # type: ignore[misc]  # which has no types
    """Among several processes (`pytest -n 2`) a file's tests stay in one, and so do those of the Ray cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "ray" if file.startswith(("plugins/hpo-ray/", "tests/test_docker")) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneCluster:
    return OneCluster(config, log)


def bowl(
    run: Run,
    *,
    x: Annotated[float, Field(ge=-10, le=10)],
    y: float = 0.0,
    epochs: Annotated[int, Field(ge=1)] = 3,
) -> None:
    """A quadratic bowl that is approached epoch by epoch."""
    for epoch in range(1, epochs + 1):
        loss = (x - 1) ** 2 + y**2 + 1 / epoch
        if run.report(epoch, {"loss": loss, "other": -loss}).stop:
            return


def random_sampler(context: SamplerContext) -> optuna.samplers.BaseSampler:
    """Uniform."""
    return optuna.samplers.RandomSampler(seed=context.seed)


def tpe_sampler(context: SamplerContext) -> optuna.samplers.BaseSampler:
    """TPE that starts to model early."""
    return optuna.samplers.TPESampler(seed=context.seed, n_startup_trials=3)


class StopAbove(TrialScheduler):
    """Stops trials whose loss is above a bound at an epoch."""

    def __init__(self, context: SchedulerContext, *, bound: float = 1e9) -> None:
        self.bound = bound
        self.seen: list[tuple[int, int, float]] = []

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        self.seen.append((trial.number, report.step, score))
        return (
            Decision.stopped(f"{-score:.3f} is above {self.bound}")
            if -score > self.bound
            else CONTINUE
        )

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        self.seen.append((trial.number, -1, 0.0))


class Inline:
    """Runs trials one by one in this process, from the catalog that it is given."""

    catalog: Catalog

    def run(self, study: Driven, interrupt: Interrupt) -> None:
        while not interrupt.now and (trial := study.ask()) is not None:
            current = trial
            outcome = execute(
                trial, self.catalog, lambda report, current=current: study.report(current, report)
            )
            study.finish(trial, outcome)


@pytest.fixture
def catalog() -> Catalog:
    """The toys of this file and of `driving`."""
    made = Catalog()
    offers: list[tuple[str, str, Callable[..., Any]]] = [
        ("objectives", "bowl", bowl),
        ("samplers", "random", random_sampler),
        ("samplers", "tpe", tpe_sampler),
        ("trial_schedulers", "none", StopAbove),
        ("trial_schedulers", "stop-above", StopAbove),
        ("objectives", "saving", saving),
        ("trial_schedulers", "promoting", Promoting),
        ("trial_schedulers", "exploiting", Exploiting),
        ("trial_schedulers", "scripted", Scripted),
        ("executors", "processes", Inline),
    ]
    for kind, name, factory in offers:
        made.add(Entry(kind, name, factory, "tests", "tests"))
    Inline.catalog = made
    Scripted.answers, Scripted.pauses, Scripted.stops = [], {}, {}
    return made


STUDY = """\
study: bowl
metric: {{name: loss, goal: minimize}}
budget: {{trials: {trials}}}
seed: 3
objective: {{name: bowl, x: {{float: [-10, 10]}}, y: {{float: [-3, 3]}}}}
sampler: {{name: {sampler}}}
trial_scheduler: {{name: stop-above, bound: {bound}}}
storage: sqlite:///{folder}/hpo.db
directory: {folder}/runs
"""


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with every table and no study: migrating one takes a second."""
    path = tmp_path_factory.mktemp("empty") / "hpo.db"
    database.open_or_create(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture
def make_spec(tmp_path: Path, catalog: Catalog, empty_database: Path) -> Callable[..., StudySpec]:
    """A checked study of the bowl in a folder of its own; `changes` are replacements in its text."""

    shutil.copy(empty_database, tmp_path / "hpo.db")

    def make(
        *, trials: int = 6, sampler: str = "random", bound: float = 1e9, **changes: str
    ) -> StudySpec:
        text = STUDY.format(trials=trials, sampler=sampler, bound=bound, folder=tmp_path)
        for old, new in changes.items():
            text = text.replace(old, new)
        return check(parse(text, "study.yaml"), catalog, tmp_path / "study.yaml")

    return make


@pytest.fixture
def offer(catalog: Catalog) -> Callable[[str, str, Any], None]:
    """Adds a component to the catalog."""
    return lambda kind, name, factory: catalog.add(Entry(kind, name, factory, "tests", "tests"))


@pytest.fixture
def run(catalog: Catalog) -> Callable[..., list[Event]]:
    """Run a study that ends well; the events told."""

    def run_study(spec: StudySpec, **wishes: Any) -> list[Event]:
        told: list[Event] = []
        assert runner.run(spec, catalog, [told.append], Wishes(**wishes)) is None
        return told

    return run_study


@pytest.fixture
def saving_spec(make_spec: Callable[..., StudySpec]) -> Callable[..., StudySpec]:
    """A study of objectives that save their state, with a trial scheduler and a budget in YAML."""

    def make(
        scheduler: str, budget: str = "{trials: 6}", sampler: str = "random", **changes: str
    ) -> StudySpec:
        own = {
            "name: bowl,": "name: saving,",
            "{name: stop-above, bound: 1000000000.0}": scheduler,
            "{trials: 6}": budget,
        }
        return make_spec(trials=6, sampler=sampler, **own, **changes)

    return make
