"""User plots of a study: figures that optuna-dashboard shows on its page, as it stores them.

A figure is plotly's JSON, in system attributes of the study, cut into pieces. optuna-dashboard's own function,
`save_plotly_graph_object`, writes the same; importing it takes seconds, and plotly is not needed to write JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import optuna

PREFIX = "dashboard:plot_data:"
_LONGEST = 2045  # characters of a piece, as optuna-dashboard cuts them


def put(study: optuna.Study, name: str, figure: Mapping[str, Any]) -> None:
    """Write a plot in place of the one of that name; pieces that it no longer needs are emptied."""
    text = json.dumps(figure, separators=(",", ":"), allow_nan=False)
    before = _pieces(study, name)
    pieces = [text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST)]
    pieces += [""] * (len(before) - len(pieces))
    for index, piece in enumerate(pieces):
        key = f"{PREFIX}{name}:{index}"
        if before.get(key) != piece:
            study._storage.set_study_system_attr(study._study_id, key, piece)


def has(study: optuna.Study, name: str) -> bool:
    """Whether a study has a plot of that name."""
    return bool(_pieces(study, name))


def _pieces(study: optuna.Study, name: str) -> dict[str, str]:
    attributes = study._storage.get_study_system_attrs(study._study_id)
    return {key: value for key, value in attributes.items() if key.startswith(f"{PREFIX}{name}:")}
