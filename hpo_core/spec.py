"""The study file: what may stand in it, and the checked StudySpec that everything else works from.

The file is declared the way every plugin's options are (`hpo_core.options`): by the signature of a function,
`study_file` below. Its checks, its defaults and its JSON Schema come from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpo_core import addresses, references, yaml_source
from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.checking import Checker
from hpo_core.errors import StudyFileError
from hpo_core.options import SEARCHABLE, Component, Kind
from hpo_core.retention import Keep
from hpo_core.space import Space
from hpo_core.trial import Goal
from hpo_core.yaml_source import Source

NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
"""Names of studies and models, which name folders: none that begins with a dot, and so not `..`."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Metric(_Section):
    """Which of the numbers that a trial reports is optimized, and in which direction."""

    name: Annotated[str, Field(min_length=1, description="as the objective reports it")]
    goal: Annotated[Goal, Field(description="which way is better")]


class BudgetSection(_Section):
    """When the study is done: at the first of these totals, over every restart."""

    trials: Annotated[int | None, Field(ge=1, description="finished trials in all")] = None
    epochs: Annotated[int | None, Field(ge=1, description="epochs in all, summed over trials")] = (
        None
    )
    hours: Annotated[float | None, Field(gt=0, description="hours of running in all")] = None
    max_attempts: Annotated[
        int, Field(ge=1, description="how often one trial may lose its worker before it fails")
    ] = 3

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.trials is None and self.epochs is None and self.hours is None:
            raise ValueError("a budget needs at least one of trials, epochs and hours")
        return self


class KeepSection(_Section):
    """Which checkpoints are kept; the others are deleted as soon as nobody can need them."""

    last: Annotated[
        int, Field(ge=1, description="newest ones of each trial that is not finished")
    ] = 2
    best: Annotated[int, Field(ge=1, description="finished trials that keep their best one")] = 1
    paused: Annotated[
        Annotated[int, Field(ge=0)] | Literal["all"],
        Field(description="paused trials that keep theirs: all, or how many of the best"),
    ] = "all"


class Register(_Section):
    """What happens with the best trial when the study is done."""

    best_as: Annotated[
        str,
        Field(
            pattern=NAME,
            description="the model that the best trial's checkpoint becomes a version of",
        ),
    ]


def study_file(
    *,
    study: Annotated[
        str,
        Field(
            pattern=NAME,
            description="the study's name: running the same name continues the study",
        ),
    ],
    metric: Annotated[Metric, Field(description="what is optimized")],
    budget: Annotated[BudgetSection, Field(description="when the study is done")],
    objective: Annotated[
        Component,
        Kind("objectives"),
        SEARCHABLE,
        Field(description="what a trial runs; every option may be searched"),
    ],
    seed: Annotated[int, Field(ge=0, lt=2**32, description="all randomness derives from it")] = 0,
    sampler: Annotated[
        Component, Kind("samplers"), Field(description="proposes parameters")
    ] = Component("tpe"),
    trial_scheduler: Annotated[
        Component, Kind("trial_schedulers"), Field(description="decides which trials go on")
    ] = Component("none"),
    executor: Annotated[
        Component, Kind("executors"), Field(description="where trials run")
    ] = Component("processes"),
    storage: Annotated[
        str, Field(min_length=1, description="SQLAlchemy address of the database")
    ] = "sqlite:///runs/hpo.db",
    directory: Annotated[
        str, Field(min_length=1, description="folder for logs, checkpoints and model versions")
    ] = "runs",
    checkpoints: Annotated[
        str | None,
        Field(
            min_length=1,
            description="where checkpoints are kept instead: a folder, or an fsspec URL (s3://bucket/hpo)",
        ),
    ] = None,
    keep: Annotated[KeepSection, Field(description="which checkpoints are kept")] = KeepSection(),  # noqa: B008  # frozen
    trackers: Annotated[
        list[Component], Kind("trackers"), Field(description="who else is told of every epoch")
    ] = [],  # noqa: B006  # a declaration: never called, never changed
    register: Annotated[
        Register | None, Field(description="make the best checkpoint a model version")
    ] = None,
) -> None:
    """The top level of a study file. Never called: its signature is the declaration."""


@dataclass(frozen=True)
class StudySpec:
    """A study file, checked against the installed plugins, defaults filled in.

    The components are mappings with `name` and every option; `objective` may hold distributions. References to the
    environment are unresolved. `path` is where the file was read from: user code is looked up beside it.
    """

    study: str
    metric: str
    goal: Goal
    budget: Budget
    seed: int
    objective: Mapping[str, Any]
    sampler: Mapping[str, Any]
    trial_scheduler: Mapping[str, Any]
    executor: Mapping[str, Any]
    trackers: tuple[Mapping[str, Any], ...]
    storage: str
    directory: str
    checkpoints: str | None
    keep: Keep
    best_as: str | None
    path: Path

    @property
    def space(self) -> Space:
        """The objective's options, without its name, as a space to search."""
        return Space({key: value for key, value in self.objective.items() if key != "name"})

    def identity(self) -> dict[str, Any]:
        """What must stay the same when a study is continued, as JSON types."""
        return {
            "metric": {"name": self.metric, "goal": self.goal},
            "seed": self.seed,
            "objective": dict(self.objective),
            "sampler": dict(self.sampler),
            "trial_scheduler": dict(self.trial_scheduler),
        }


def load_spec(path: Path, overrides: Iterable[str], catalog: Catalog) -> StudySpec:
    """Read and check a study file, with `key.path=value` overrides applied.

    Raises StudyFileError with every problem at once, or UsageError for an override that is not `key=value`.
    """
    return check(read(path, overrides), catalog, path)


def read(path: Path, overrides: Iterable[str]) -> Source:
    """Read a study file with overrides applied, and check nothing yet. Raises as `load_spec` does."""
    source = yaml_source.read(path)
    for override in overrides:
        source = yaml_source.apply_override(source, override)
    return source


def check(source: Source, catalog: Catalog, path: Path, *, runs_here: bool = True) -> StudySpec:
    """Check a source against the catalog. Raises StudyFileError.

    The environment that a study refers to must be set if it `runs_here`: another machine has its own.
    """
    checker = Checker(catalog)
    given = {key: value for key, value in source.data.items() if not str(key).startswith("x-")}
    tree = checker.options(study_file, "a study file", given, (), searchable=False)
    for place, name in references.missing(given) if runs_here else ():
        checker.blame(place, f"the environment variable {name} is not set")
    if isinstance(given.get("checkpoints"), str):
        _check_address(given["checkpoints"], checker)
    if checker.problems:
        located = [source.locate(place, problem) for place, problem in checker.problems]
        raise StudyFileError(source.name, located, source.text)
    return _spec(tree, path)


def _check_address(address: str, checker: Checker) -> None:
    """Whether checkpoints could be kept there, as far as that can be told without asking."""
    found = addresses.problem(address)
    if found is not None:
        message, meant = found
        checker.blame(("checkpoints",), message, suggestion=meant)


def _spec(tree: Mapping[str, Any], path: Path) -> StudySpec:
    return StudySpec(
        study=tree["study"],
        metric=tree["metric"]["name"],
        goal=tree["metric"]["goal"],
        budget=Budget(**tree["budget"]),
        seed=tree["seed"],
        objective=tree["objective"],
        sampler=tree["sampler"],
        trial_scheduler=tree["trial_scheduler"],
        executor=tree["executor"],
        trackers=tuple(tree["trackers"]),
        storage=tree["storage"],
        directory=tree["directory"],
        checkpoints=tree["checkpoints"],
        keep=Keep(**tree["keep"]),
        best_as=tree["register"]["best_as"] if tree["register"] else None,
        path=path,
    )
