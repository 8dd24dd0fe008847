"""Rates that drop when the validation loss no longer falls: torch's `ReduceLROnPlateau`, judged once an epoch.

With E epochs, the rate is multiplied by `factor` after an epoch whose loss is the P+1-th in a row that is not below
(1 - threshold) times the best one; the count then begins anew. P = ⌊patience E⌉, at least 1. The originals gave torch
an option that it no longer has, and never gave it a loss.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Float
from hpo_torch.lr_schedulers.curve import steps
from hpo_torch.lr_schedulers.options import Gamma

Patience = Annotated[
    float,
    Field(gt=0, lt=1, description="Fraction of the run that is waited for a better loss."),
    Float(0.03, 0.3),
]
Threshold = Annotated[
    float,
    Field(ge=0, lt=1, description="By what part of the best loss a better one is below it."),
    Float(1e-4, 1e-2, log=True),
]
Factor = Annotated[Gamma, Float(0.1, 0.7)]


def plateau(
    optimizer: Any,
    epochs: int,
    *,
    factor: Factor = 0.1,
    patience: Patience = 0.1,
    threshold: Threshold = 1e-4,
) -> Any:
    """eta is multiplied by `factor` after more than ⌊patience E⌉ epochs without a better loss (A0_031)."""
    return _plateau(optimizer, epochs, factor, patience, threshold)


def plateau_patient(
    optimizer: Any,
    epochs: int,
    *,
    factor: Factor = 0.1,
    patience: Patience = 0.2,
    threshold: Threshold = 1e-4,
) -> Any:
    """eta is multiplied by `factor` after more than ⌊patience E⌉ epochs without a better loss (A0_032)."""
    return _plateau(optimizer, epochs, factor, patience, threshold)


def plateau_aggressive(
    optimizer: Any,
    epochs: int,
    *,
    factor: Factor = 0.5,
    patience: Patience = 0.05,
    threshold: Threshold = 1e-4,
) -> Any:
    """eta is multiplied by `factor` after more than ⌊patience E⌉ epochs without a better loss (A0_033)."""
    return _plateau(optimizer, epochs, factor, patience, threshold)


for _each in (plateau, plateau_patient, plateau_aggressive):
    _each.interval = "epoch"  # type: ignore[attr-defined]  # an attribute that objectives look for


def _plateau(optimizer: Any, epochs: int, factor: float, patience: float, threshold: float) -> Any:
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    # eps is absolute: it would keep small rates, such as Adam's, from falling
    return ReduceLROnPlateau(
        optimizer, factor=factor, patience=steps(patience, epochs), threshold=threshold, eps=0
    )
