"""Every hook, typed. A plugin implements those it needs with `hpo_core.hookimpl`; all are called once at start.

Each hook is handed `register(name, factory, tier=None)`. `name` is kebab-case and unique within its kind. `tier`, a
whole number from 1, says how early a component is worth trying: `model: {tier: 1}` in a study file is the choice of all
models of tier 1. `factory` is a callable,
or its dotted path `"package.module:callable"`, which is resolved when a study first uses the name: hand in the path
when the module takes more than a few milliseconds to import. Even then the module itself should leave torch and the
like to the body of its functions, since `hpo validate` resolves what a study names. What each kind of factory is called
with is in `hpo_core.contracts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pluggy

GROUP = "hpo"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Register(Protocol):
    """Offers `factory` to study files under `name`, and among others of its `tier`."""

    def __call__(
        self, name: str, factory: Callable[..., Any] | str, tier: int | None = None
    ) -> None: ...


@hookspec
def register_objectives(register: Register) -> None:
    """Offer what a trial runs. The factory is the objective: it takes a Run and its options."""


@hookspec
def register_models(register: Register) -> None:
    """Offer architectures, built by an objective in a worker from the dataset's InputShape."""


@hookspec
def register_datasets(register: Register) -> None:
    """Offer datasets, built by an objective in a worker from the study's seed."""


@hookspec
def register_augmentations(register: Register) -> None:
    """Offer augmentations, built by an objective in a worker from the dataset's InputShape."""


@hookspec
def register_optimizers(register: Register) -> None:
    """Offer optimizers, built by an objective in a worker from the model's parameters."""


@hookspec
def register_losses(register: Register) -> None:
    """Offer losses, built by an objective in a worker from what the training part's labels are like."""


@hookspec
def register_lr_schedulers(register: Register) -> None:
    """Offer LR schedulers, built from an optimizer and the number of optimizer steps of the full run."""


@hookspec
def register_samplers(register: Register) -> None:
    """Offer Optuna samplers, built by the study anew for each trial."""


@hookspec
def register_trial_schedulers(register: Register) -> None:
    """Offer trial schedulers, built once when a study starts or continues."""


@hookspec
def register_executors(register: Register) -> None:
    """Offer executors, built once when a study starts or continues."""


@hookspec
def register_trackers(register: Register) -> None:
    """Offer trackers, built once when a study starts or continues."""


@hookspec
def register_commands(register: Register) -> None:
    """Offer commands of `hpo`, as typer takes them: functions or groups. Looked for when a command is none of ours.

    A function called `models describe` becomes a command of the group `models`.
    """


KINDS: tuple[str, ...] = (
    "objectives",
    "models",
    "datasets",
    "augmentations",
    "optimizers",
    "losses",
    "lr_schedulers",
    "samplers",
    "trial_schedulers",
    "executors",
    "trackers",
)
"""The kinds of components, as plural names: one `register_KIND` hook each."""

HOOKS: tuple[str, ...] = (*KINDS, "commands")
"""Everything that can be registered: what study files name, and what the command line does."""
