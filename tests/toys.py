"""A catalog of toys with an option of every sort, for tests of what reads a study: nothing here can be run."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

from pydantic import Field

from hpo_core import Component, Kind
from hpo_core.catalog import Catalog, Entry


def toy(
    run: Any,
    *,
    epochs: Annotated[int, Field(ge=1, le=1000, description="Epochs.")] = 9,
    model: Annotated[Component, Kind("models")] = Component("small"),
    optimizer: Annotated[Component, Kind("optimizers")] = Component("sgd"),
    lr_scheduler: Annotated[Component | None, Kind("lr_schedulers")] = None,
    betas: Annotated[list[float], Field(min_length=2, max_length=2)] = [0.9, 0.99],  # noqa: B006  # never changed
    precision: Annotated[Literal["16", "32"] | None, Field(description="Bits.")] = None,
    notes: dict[str, int] = {},  # noqa: B006  # never changed
) -> None:
    """An objective with an option of every sort."""


def needy(run: Any, *, call: Annotated[str, Field(pattern=r"^\w+:\w+$")]) -> None:
    """An objective with an option that must be given."""


def undeclared(run: Any, *, gamma=0.1) -> None:  # type: ignore[no-untyped-def]  # the point of it
    """An objective whose option has no annotation."""


def network(shape: Any, *, name_in_zoo: str, width: Annotated[int, Field(ge=1)] = 8) -> None:
    """A model."""


def sgd(
    params: Any,
    *,
    lr: Annotated[float, Field(gt=0, le=100, description="Step size.")] = 0.1,
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    nesterov: bool = False,
) -> None:
    """Stochastic gradient descent.

    More about it.
    """


def adamw(params: Any, *, lr: Annotated[float, Field(gt=0)] = 1e-3) -> None:
    """AdamW."""


def constant(optimizer: Any, total_steps: int) -> None:
    """An LR scheduler without options."""


def step(
    optimizer: Any, total_steps: int, *, gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
) -> None:
    """An LR scheduler with one option."""


def tpe(context: Any, *, startup: Annotated[int, Field(ge=0)] = 10) -> None:
    """A sampler."""


def asha(
    context: Any,
    *,
    min_epochs: Annotated[int, Field(ge=1)] = 1,
    reduction_factor: Annotated[int, Field(ge=2)] = 3,
) -> None:
    """A trial scheduler."""


def every(
    context: Any,
    *,
    of: Annotated[list[Component], Kind("trial_schedulers"), Field(description="Rules.")],
) -> None:
    """A trial scheduler that is a list of others."""


def processes(*, workers: Annotated[int | None, Field(ge=1)] = None) -> None:
    """An executor."""


def plain(*positional: Any) -> None:
    """A component without options, of any kind."""


TOYS: dict[str, dict[str, Any]] = {
    "objectives": {"toy": toy, "needy": needy, "undeclared": undeclared},
    "models": {
        "small": plain,
        "broken": "no_such_module_at_all:make",
        **{
            f"zoo/{name}": functools.partial(network, name_in_zoo=name)
            for name in ("ant", "bee", "cat")
        },
    },
    "optimizers": {"sgd": sgd, "adamw": adamw},
    "lr_schedulers": {"constant": constant, "step": step},
    "samplers": {"tpe": tpe, "random": plain},
    "trial_schedulers": {"none": plain, "asha": asha, "every": every},
    "executors": {"inline": plain, "processes": processes},
    "trackers": {"csv": plain},
}


def toy_catalog(broken: dict[str, str] | None = None) -> Catalog:
    """A catalog of toys in which two distributions offer the model `twin`."""
    catalog = Catalog(broken=broken or {})
    for kind, offers in TOYS.items():
        for name, target in offers.items():
            catalog.add(Entry(kind, name, target, "toys", "hpo-toys"))
    for distribution in ("hpo-left", "hpo-right"):
        catalog.add(Entry("models", "twin", plain, distribution, distribution))
    return catalog


GOOD = """\
study: resnet_lr
metric: {name: val_accuracy, goal: maximize}
budget: {trials: 20}
seed: 7
objective:
  name: toy
  epochs: 9
  model: small
  betas: [0.9, 0.99]
  optimizer: {name: sgd, lr: {float: [1e-3, 1.0], log: true}, momentum: 0.9}
  lr_scheduler: {choice: [constant, {name: step, gamma: {float: [0.05, 0.7]}}]}
sampler: {name: tpe, startup: 5}
trial_scheduler: {name: asha, min_epochs: 1, reduction_factor: 3}
executor: {name: processes, workers: 2}
storage: sqlite:///runs/hpo.db
trackers: [csv]
register: {best_as: resnet18-digits}
"""
"""A study of toys, one key a line, that is right."""
