"""The rates that an LR scheduler goes through in a run, found by stepping it beside an optimizer that does nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from hpo_core import Component


@dataclass(frozen=True)
class Curve:
    """`rates` has the rate of each step of a run, or of each epoch where `epochs` is set: parts of the optimizer's own.

    `average_from` is the step from which weights are averaged, if they are. `note` says what was assumed.
    """

    name: str
    rates: list[float]
    epochs: bool
    average_from: int | None
    note: str


def curve_of(component: Component, total: int) -> Curve:
    """The curve over `total` steps; over as many epochs for one that is stepped once an epoch.

    One that waits for the validation loss is shown a loss that never falls. Raises what the factory raises.
    """
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = component.build(optimizer, total)
    judges = isinstance(scheduler, ReduceLROnPlateau)
    rates = []
    for _ in range(total):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step(*([1.0] if judges else []))
    return Curve(
        component.name,
        rates,
        component.trait("interval", "step") == "epoch",
        getattr(scheduler, "average_from", None),
        "for a validation loss that never falls" if judges else "",
    )
