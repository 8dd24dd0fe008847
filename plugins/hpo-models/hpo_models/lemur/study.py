"""A study of a file that is written for LEMUR: its own hyperparameters and no others, over LEMUR's ranges."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

RANGES = {
    "lr": "{float: [1.0e-5, 1.0], log: true}",
    "momentum": "{float: [0.0, 1.0]}",
    "dropout": "{float: [0.0, 0.5]}",
    "pretrained": "{choice: [0, 1]}",
}
"""What LEMUR searches; every other hyperparameter over all of [0, 1]."""
ANY = "{float: [0.0, 1.0]}"

STUDY = """\
# A network written for LEMUR, with LEMUR's ranges for the hyperparameters that it supports. Importing {file} runs it:
#   hpo run {study_file} --allow-code
study: {study}
metric: {{name: val_accuracy, goal: maximize}}
budget: {{trials: 20}}
seed: 7
objective:
  name: lemur
  file: {quoted}
  epochs: 5
  dataset: {{name: digits, image_size: 32, batch_size: 64}}
  prm:{prm}
sampler: {{name: tpe}}
trial_scheduler: {{name: asha, min_epochs: 1, reduction_factor: 3}}
"""


def study_text(file: str, hyperparameters: Iterable[str], study_file: str) -> str:
    """A study file that validates. `file` is how the study refers to the network, seen from where it will lie."""
    lines = [
        f"\n    {json.dumps(name)}: {RANGES.get(name, ANY)}" for name in sorted(hyperparameters)
    ]
    return STUDY.format(
        file=Path(file).name,
        study_file=study_file,
        study=_named(Path(file).stem),
        quoted=json.dumps(file),
        prm="".join(lines) or " {}",
    )


def _named(stem: str) -> str:
    """A name that studies may have."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", stem).lstrip(".")[:128] or "lemur"
