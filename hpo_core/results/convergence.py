"""How a trial got where it got: how fast, whether it still moved, whether it fell apart.

All of it is read from the epochs that were reported. Of a metric m over epochs e_1..e_n, b(e) is the best of m up to e:

- *epochs to 95 %*: the first e with m(e) >= 0.95 b(e_n), or m(e) <= b(e_n) / 0.95 where less is better; None where the
  best is not above 0, for then there is no such share.
- *area*: the mean height of the curve, by the trapezoidal rule over e_1..e_n: of two runs with the same end, the one
  that was there earlier has the greater area (the lesser one, where less is better).
- *plateau*: the last epoch that beat the best before it by more than 0.5 % of it, if three or more epochs followed it
  (the rule of torch's ReduceLROnPlateau, with its relative threshold).
- *diverged*: the first epoch since which the loss has stayed more than 50 % above its least value before, and by more
  than a twentieth of the first (a loss near 0 may double and mean nothing), or was not finite. A peak from which it
  recovered is none, and of a loss below 0 no share is taken. The loss is `train_loss`, for a rising `val_loss` may be
  overfitting; or else `loss`, `val_loss`, or the study's metric where that is to be minimized.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from hpo_core.results.trials import Curve, ResultTrial, best_step
from hpo_core.trial import Goal

LOSSES = ("train_loss", "loss", "val_loss")

THRESHOLD = 0.005  # of the best before: less is no improvement
PATIENCE = 3  # epochs without one, for a plateau
RISE = 1.5  # times the least loss before
TWENTIETH = 0.05  # of the first loss


@dataclass(frozen=True)
class Convergence:
    """How a trial converged; None where it cannot be said. Epochs, but `area`, in units of the metric."""

    to_share: int | None
    area: float | None
    plateau: int | None
    diverged: int | None

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def of(trial: ResultTrial, metric: str | None = None, share: float = 0.95) -> Convergence:
    """How a trial converged, by the study's metric or by another one, for which less is better if it is a loss."""
    name = metric or trial.metric
    goal = goal_of(trial, name)
    curve = trial.curves.get(name, {})
    loss = next((each for each in LOSSES if each in trial.curves), None)
    if loss is None and trial.goal == "minimize":
        loss = trial.metric
    return Convergence(
        to_share=epochs_to(curve, goal, share),
        area=area(curve),
        plateau=plateau(curve, goal),
        diverged=None if loss is None else diverged(trial.curves.get(loss, {})),
    )


def goal_of(trial: ResultTrial, metric: str) -> Goal:
    """Which way a metric is better: the study says it of its own; of others, less is better of a loss or an error."""
    if metric == trial.metric:
        return trial.goal
    words = metric.lower().replace("-", "_").replace("/", "_").split("_")
    return "minimize" if {"loss", "error", "err", "mse", "mae", "rmse"} & set(words) else "maximize"


def epochs_to(curve: Curve, goal: Goal, share: float) -> int | None:
    """The first epoch with so great a share of the best."""
    step = best_step(curve, goal)
    if step is None or curve[step] <= 0:
        return None
    bound = curve[step] * share if goal == "maximize" else curve[step] / share
    reached = (e for e, value in curve.items() if _beats(value, bound, goal) or value == bound)
    return next(reached, None)


def area(curve: Curve) -> float | None:
    """The mean height of a curve over its epochs; what is not finite is left out."""
    points = [(step, value) for step, value in curve.items() if math.isfinite(value)]
    if not points:
        return None
    if len(points) == 1:
        return points[0][1]
    pairs = itertools.pairwise(points)
    whole = sum((after[0] - before[0]) * (after[1] + before[1]) / 2 for before, after in pairs)
    return whole / (points[-1][0] - points[0][0])


def plateau(curve: Curve, goal: Goal) -> int | None:
    """The epoch since which nothing worth mentioning was gained, if enough of them followed."""
    best: float | None = None
    last = 0
    for step, value in curve.items():
        if not math.isfinite(value):
            continue
        margin = 0.0 if best is None else THRESHOLD * abs(best)
        if best is None or _beats(
            value, best + margin if goal == "maximize" else best - margin, goal
        ):
            best, last = value, step
    return last if best is not None and _after(curve, last) >= PATIENCE else None


def diverged(loss: Curve) -> int | None:
    """The epoch since which a loss is much greater than it was, or no number."""
    first = next((value for value in loss.values() if math.isfinite(value)), 0.0)
    least, since = math.inf, None
    for step, value in loss.items():
        high = least > 0 and value > max(RISE * least, least + TWENTIETH * first)
        if high or not math.isfinite(value):
            since = step if since is None else since
        else:
            since = None
            least = min(least, value)
    return since


def _beats(value: float, other: float, goal: Goal) -> bool:
    return value > other if goal == "maximize" else value < other


def _after(steps: Iterable[int], step: int) -> int:
    return sum(each > step for each in steps)
