"""The best trial as figures for a study's page in optuna-dashboard: its learning curves, and what it takes for what.

They are plotly's JSON as dictionaries. Names of classes and metrics are users' words, so they are escaped: plotly reads
a little HTML in texts. Colours are given as numbers, for a named scale is not the same in Python and in a browser.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any

from hpo_core.results.classes import matrix
from hpo_core.results.convergence import LOSSES, goal_of
from hpo_core.results.trials import Curve, ResultTrial
from hpo_core.trial import ClassReport

CURVES, CONFUSION = "learning_curves", "confusion_matrix"
"""The names of the plots, which a new best trial replaces."""

POINTS = 200  # of a curve
METRICS = 12
CLASSES = 100  # beyond that, squares are smaller than a pixel's worth of sense
COUNTED = 20  # classes whose images are written into the squares

BLUES = [[0, "#ffffff"], [0.5, "#6baed6"], [1, "#08306b"]]


def curves(trial: ResultTrial) -> dict[str, Any]:
    """The metrics of a trial by epoch: losses at the right axis, the others at the left; the LR fits neither."""
    names = [name for name in trial.curves if name != "lr"]
    names.sort(key=lambda name: (name != trial.metric, name))
    shown = names[:METRICS]
    losses = [name for name in shown if goal_of(trial, name) == "minimize" or name in LOSSES]
    apart = bool(losses) and len(losses) < len(shown)
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(trial.curves[name]) <= 50 else "lines",
            "name": _text(name),
            "yaxis": "y2" if apart and name in losses else "y",
            "line": {"dash": "dot" if apart and name in losses else "solid"},
            **_points(trial.curves[name]),
        }
        for name in shown
    ]
    layout: dict[str, Any] = {
        "title": {"text": f"Learning curves of the best trial ({trial.number})"},
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"title": {"text": "loss" if losses and not apart else "metric"}},
        "legend": {"orientation": "h", "y": -0.3},
    }
    if apart:
        right = {"title": {"text": "loss (dotted)"}, "overlaying": "y", "side": "right"}
        layout["yaxis2"] = right | {"showgrid": False}
    return {"data": data, "layout": layout}


def confusion(report: ClassReport, number: int, step: int) -> dict[str, Any] | None:
    """What a trial took each class for, each row divided by its images; None of more classes than can be seen."""
    if not 0 < len(report.classes) <= CLASSES:
        return None
    names = [_text(name) for name in report.labels(24)]
    counts = [[0] * len(names) for _ in names]
    for label, guess, images in report.confusion:
        counts[label][guess] += images
    heat: dict[str, Any] = {
        "type": "heatmap",
        "z": [[round(share, 4) for share in row] for row in matrix(report)],
        "x": names,
        "y": names,
        "zmin": 0,
        "zmax": 1,
        "colorscale": BLUES,
        "colorbar": {"title": {"text": "share"}},
        "text": counts,
        "hovertemplate": "%{y} taken for %{x}: %{text} images<extra></extra>",
    }
    if len(names) <= COUNTED:
        heat["texttemplate"] = "%{text}"
    layout = {
        "title": {
            "text": f"Confusion matrix of the best trial ({number}), epoch {step}, as reported in training"
        },
        "xaxis": {"type": "category", "title": {"text": "predicted"}, "automargin": True},
        "yaxis": {
            "type": "category",
            "title": {"text": "label"},
            "autorange": "reversed",
            "automargin": True,
        },
    }
    return {"data": [heat], "layout": layout}


def nothing(number: int) -> dict[str, Any]:
    """In place of an older trial's confusion: the best trial has none."""
    text = f"The best trial ({number}) reported nothing on classes"
    return {"data": [], "layout": {"title": {"text": text}}}


def _points(curve: Curve) -> Mapping[str, list[Any]]:
    """At most so many points of a curve, the first and the last among them; gaps where it was not finite."""
    every = max(1, math.ceil(len(curve) / POINTS))
    steps = list(curve)
    chosen = [step for index, step in enumerate(steps) if index % every == 0 or step == steps[-1]]
    values = [curve[step] if math.isfinite(curve[step]) else None for step in chosen]
    return {"x": chosen, "y": [None if v is None else float(f"{v:.6g}") for v in values]}


def _text(name: str) -> str:
    plain = "".join(char if char.isprintable() else "?" for char in name)
    return html.escape(plain, quote=False)
