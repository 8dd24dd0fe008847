"""The driver is killed at every step that makes something durable, and the study continued: no promise may break.

Each name in `hpo_core.faults.POINTS` is a test of its own. A study of small trainings, which pauses and resumes them,
keeps checkpoints and registers a model, is killed when it has got there half of all times, and another study at the
last time (with `HPO_EVERY_HIT=1` in the environment: one at each time). What is left is looked at right after the kill
and again when the same command has continued the study; its whole story must be that of a study that nobody disturbed.
A name that the study never gets to fails, so that none can be forgotten.

What happens to checkpoints happens in a store as well: there the study is one that keeps them behind fsspec, in files,
so that they can be looked at like the rest.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from forking import Forks, Ran
from forking import forks as forks
from promises import (
    Moment,
    assert_files_are_whole,
    assert_models_are_whole,
    assert_no_proposal_twice,
    assert_nothing_rewritten,
    assert_over,
    assert_readable,
    assert_tidy,
    assert_told_is_stored,
    look,
    repeated,
    story,
)

from hpo_core import faults

KILLED = -9
EVERY_HIT = bool(os.environ.get("HPO_EVERY_HIT"))

OBJECTIVE = '''
"""Noisy gradient descent whose whole state (weights and random numbers) is in its checkpoints."""

import json

import numpy as np
from safetensors.numpy import load_file, save_file


def train(run, lr, epochs):
    random = np.random.default_rng(run.trial.seed)
    weights, done = random.normal(size=3), 0
    if run.restored is not None:
        done = run.restored.step
        weights = load_file(run.restored.path / "model.safetensors")["weights"]
        random.bit_generator.state = json.loads((run.restored.path / "random.json").read_text())
    for epoch in range(done + 1, epochs + 1):
        weights = weights - lr * (weights + 0.1 * random.normal(size=3))
        with open("journal", "a") as journal:
            print(run.trial.number, epoch, file=journal)
        with run.checkpoint(epoch) as folder:
            save_file({"weights": weights}, folder / "model.safetensors")
            (folder / "random.json").write_text(json.dumps(random.bit_generator.state))
        if run.report(epoch, {"loss": float((weights**2).sum())}).stop:
            return
'''

STUDY = """\
study: crash
metric: {name: loss, goal: minimize}
budget: {trials: 6}
seed: 5
objective: {name: python, call: "noisy:train", arguments: {lr: {float: [0.001, 1.0], log: true}, epochs: 4}}
sampler: {name: tpe, startup_trials: 3}
trial_scheduler: {name: asha-promotion, min_epochs: 1, reduction_factor: 2, max_epochs: 4}
executor: inline
keep: {last: 1, best: 1, paused: all}
register: {best_as: noisy}
"""

POPULATION = STUDY.replace("trials: 6", "trials: 5").replace(
    "{name: asha-promotion, min_epochs: 1, reduction_factor: 2, max_epochs: 4}",
    "{name: pbt, population: 3, quantile: 0.34}",
)
"""A study that makes clones: trials that begin with a checkpoint of another one. The budget is spent before the last
epoch, after which a clone would have nothing to train.
"""


IN_A_STORE = (
    "checkpoint.write",
    "checkpoint.upload",
    "checkpoint.publish",
    "checkpoint.saved",
    "checkpoint.fetch",
    "checkpoint.delete",
    "checkpoint.remove",
    "model.rename",
)
"""The points at which it matters that a study keeps its checkpoints in a store."""

OF_ALIASES = ("model.change", "model.changed")
OF_DELETIONS = ("model.remove",)
"""The points that no study gets to: `test_registry_kills` and `test_deletion` are killed there."""

OF_DATASETS = tuple(point for point in faults.POINTS if point.startswith("dataset."))
"""The same: `test_datasets_kills` is killed there."""

BELOW_THE_RUNS = tuple(
    point
    for point in faults.POINTS
    if point
    not in ("checkpoint.upload", "checkpoint.publish", "checkpoint.fetch", "checkpoint.remove")
    and point not in (*OF_ALIASES, *OF_DELETIONS, *OF_DATASETS)
)
"""The points that any other study gets to."""


@dataclass
class Lab:
    """A folder with one study, run in processes that a fault may kill.

    With `store` its checkpoints are behind fsspec.
    """

    forks: Forks
    folder: Path
    storage: str
    study: str
    text: str = STUDY
    store: bool = False

    def run(self, fault: str | None = None) -> Ran:
        """`hpo run`, killed where `fault` says."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "noisy.py").write_text(OBJECTIVE)
        (self.folder / "study.yaml").write_text(self.text)
        own = (f"study={self.study}", f"register.best_as={self.study}", f"storage={self.storage}")
        if self.store:
            own += (f"checkpoints=local://{self.folder}/store",)
        environment = {} if fault is None else {"HPO_FAULT": f"{fault}:kill"}
        words = ("run", "study.yaml", *own, "--allow-code", "--json")
        return self.forks.hpo(*words, folder=self.folder, **environment)

    def look(self) -> Moment | None:
        """What the database holds of the study."""
        return look(self.storage, self.study)

    def check_killed(self, ran: Ran) -> Moment | None:
        """What must hold right after a kill; what the study was like."""
        moment = self.look()
        assert_told_is_stored(ran.out, moment)
        assert_files_are_whole(self.folder)
        assert_models_are_whole(self.folder, moment)
        shown = self.forks.hpo("status", "--storage", self.storage, folder=self.folder)
        assert_readable(shown.code, shown.err)
        return moment

    def check_over(self, kills: int) -> Moment:
        """What must hold when the study is over; what it is like."""
        moment = self.look()
        assert moment is not None
        assert_over(moment, yaml.safe_load(self.text)["budget"]["trials"])
        assert_no_proposal_twice(moment)
        assert_files_are_whole(self.folder)
        assert_models_are_whole(self.folder, moment)
        assert len(moment.versions) == 1
        assert_tidy(self.folder, moment)
        assert repeated(self.folder / "journal") <= kills
        return moment


@pytest.fixture
def shelves(forks: Forks, empty_database: Path, tmp_path: Path) -> Iterator[Lab]:
    """Studies that keep their checkpoints in stores of their own; where they are told of matters less."""
    shutil.copy(empty_database, tmp_path / "hpo.db")
    storage = f"sqlite:///{tmp_path}/hpo.db"
    return (Lab(forks, tmp_path / f"c{n}", storage, f"c{n}", store=True) for n in itertools.count())


@pytest.fixture
def labs(forks: Forks, storage: str, tmp_path: Path) -> Iterator[Lab]:
    """Studies that have nothing in common but the database."""
    return (Lab(forks, tmp_path / f"c{n}", storage, f"c{n}") for n in itertools.count())


@dataclass(frozen=True)
class Calm:
    """The study when nothing happens to it: its story, and how often it gets to each point."""

    story: dict[str, Any]
    hits: dict[str, int]

    def chosen(self, point: str) -> Iterable[int]:
        """The hits at which to be killed: one in the middle and the last, or each."""
        last = self.hits[point]
        return range(1, last + 1) if EVERY_HIT else sorted({(last + 1) // 2, last})


@pytest.fixture(scope="module")
def calm(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """What every other study is compared with."""
    return undisturbed(forks, tmp_path_factory.mktemp("calm"), STUDY)


@pytest.fixture(scope="module")
def calm_population(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """What every other study that makes clones is compared with."""
    return undisturbed(forks, tmp_path_factory.mktemp("population"), POPULATION)


@pytest.fixture(scope="module")
def calm_store(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """What every other study is compared with that keeps its checkpoints in a store."""
    return undisturbed(forks, tmp_path_factory.mktemp("store"), STUDY, store=True)


def undisturbed(forks: Forks, folder: Path, text: str, store: bool = False) -> Calm:
    """Run a study to its end."""
    lab = Lab(forks, folder, f"sqlite:///{folder}/hpo.db", "calm", text, store)
    ran = lab.run()
    assert ran.code == 0, ran.err
    return Calm(story(lab.check_over(kills=0)), ran.hits)


def kill_and_continue(lab: Lab, fault: str, calm: Calm) -> None:
    """Run a study that is killed there, then again, and check everything."""
    ran = lab.run(fault)
    assert ran.code == KILLED, (fault, ran.code, ran.err)
    before = lab.check_killed(ran)
    again = lab.run()
    assert again.code == 0, again.err
    after = lab.check_over(kills=1)
    assert_nothing_rewritten(before, after)
    assert story(after) == calm.story


def test_the_study_gets_to_every_point(calm: Calm, calm_store: Calm) -> None:
    assert set(calm.hits) == set(BELOW_THE_RUNS)
    assert set(calm_store.hits) == set(faults.POINTS) - {
        "checkpoint.rename",
        *OF_ALIASES,
        *OF_DELETIONS,
        *OF_DATASETS,
    }
    assert {point for point in calm_store.hits if "checkpoint" in point} < set(IN_A_STORE)


def test_where_checkpoints_lie_changes_nothing(calm: Calm, calm_store: Calm) -> None:
    assert calm_store.story == calm.story


def test_the_study_is_worth_being_killed(calm: Calm) -> None:
    assert {decision for _, _, _, decision, _, _ in calm.story["decisions"]} == {
        "continue",
        "pause",
    }
    assert {trial["state"] for trial in calm.story["trials"].values()} == {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize("point", BELOW_THE_RUNS)
def test_a_kill_at(point: str, labs: Iterator[Lab], calm: Calm) -> None:
    for hit in calm.chosen(point):
        kill_and_continue(next(labs), f"{point}:{hit}", calm)


@pytest.mark.parametrize("point", IN_A_STORE)
def test_a_kill_in_a_store_at(point: str, shelves: Iterator[Lab], calm_store: Calm) -> None:
    for hit in calm_store.chosen(point):
        kill_and_continue(next(shelves), f"{point}:{hit}", calm_store)


def test_the_population_makes_clones(calm_population: Calm) -> None:
    origins = [origin for _, origin, *_ in calm_population.story["proposals"]]
    assert origins.count("cloned") >= 2


@pytest.mark.slow
@pytest.mark.parametrize("point", ["ledger.write", "ledger.committed", "checkpoint.delete"])
def test_a_kill_of_a_population(point: str, labs: Iterator[Lab], calm_population: Calm) -> None:
    for hit in range(1, calm_population.hits[point] + 1, 1 if EVERY_HIT else 5):
        lab = replace(next(labs), text=POPULATION)
        kill_and_continue(lab, f"{point}:{hit}", calm_population)


@pytest.mark.parametrize("hit", range(3, 9) if EVERY_HIT else [6])
def test_every_driver_is_killed(hit: int, labs: Iterator[Lab], calm: Calm) -> None:
    """One driver after another dies at a commit soon after its start, also while it clears up after the last."""
    lab, kills, before = next(labs), 0, None
    while (ran := lab.run(f"ledger.committed:{hit}")).code != 0:
        assert ran.code == KILLED, ran.err
        kills += 1
        assert kills < 100, "there is no progress"
        after = lab.look()
        assert after is not None
        assert_nothing_rewritten(before, after)
        before = after
    assert kills > 2
    after = lab.check_over(kills)
    assert_nothing_rewritten(before, after)
    assert story(after) == calm.story
