"""What may stand in a study file: declared the way every plugin's options are, by the signature of a function.

The checks of a file, its defaults and its JSON Schema come from `study_file` below; `hpo_core.spec` reads files by it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpo_core.options import SEARCHABLE, Component, Kind
from hpo_core.trial import Goal

DEFAULT_STORAGE = "sqlite:///runs/hpo.db"

NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
"""Names of studies, models and datasets, which name folders: none that begins with a dot, and so not `..`."""

DATA_REFERENCE = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(@[A-Za-z0-9._-]{1,128})?$"
"""A version of a dataset: `pets`, `pets@3`, `pets@clean`."""


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


class PluginsSection(_Section):
    """Which of the installed plugins the study does without."""

    disable: Annotated[
        list[str], Field(description="plugins, or distributions, whose components do not exist")
    ] = []


class Register(_Section):
    """What happens with the best trial when the study is done."""

    best_as: Annotated[
        str,
        Field(
            pattern=NAME,
            description="the model that the best trial's checkpoint becomes a version of",
        ),
    ]
    evaluation_timeout: Annotated[
        float, Field(gt=0, description="seconds that measuring it on the test part may take")
    ] = 900.0


Share = Annotated[float | None, Field(ge=0, le=1)]


class SuccessCriteria(_Section):
    """What a model must do on the part of the data that nothing was chosen by, or it cannot be promoted."""

    accuracy: Annotated[Share, Field(description="least share of images that it gets right")] = None
    per_class_recall: Annotated[
        Share, Field(description="least share of images that it gets right, of each class")
    ] = None
    largest_share: Annotated[
        Share, Field(description="largest share of images that it may take for one class")
    ] = None
    calibration_error: Annotated[
        Share, Field(description="largest expected difference of confidence and accuracy (ECE)")
    ] = None
    latency_seconds: Annotated[
        float | None, Field(gt=0, description="longest time for one image, the median of many")
    ] = None


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
    ] = DEFAULT_STORAGE,
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
    data_version: Annotated[
        str | None,
        Field(
            pattern=DATA_REFERENCE,
            description="version of the dataset's files (NAME@3, NAME@TAG) without which nothing is run",
        ),
    ] = None,
    success_criteria: Annotated[
        SuccessCriteria | None,
        Field(description="what a registered model must do on the test part before it is promoted"),
    ] = None,
    plugins: Annotated[
        PluginsSection, Field(description="which of the installed plugins the study does without")
    ] = PluginsSection(),  # noqa: B008  # frozen
    profiles: Annotated[
        bool, Field(description="begin with the values that components are known to do well with")
    ] = True,
) -> None:
    """The top level of a study file. Never called: its signature is the declaration."""
