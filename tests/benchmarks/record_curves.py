"""Trains digits classifiers to the end and keeps their curves, to compare trial schedulers on (`trial_schedulers.py`).

    uv run python tests/benchmarks/record_curves.py FILE [--trials 60]

Writes one JSON line a trial: its parameters and, for each of 27 epochs, validation accuracy and loss. The parameters
are drawn at random, so that no sampler prefers any. Half an hour on one core; a file that exists is continued.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hpo_core import CONTINUE, Decision, Ending, Report, Trial, plugins
from hpo_core.execution import execute
from hpo_core.sampling import SamplerContext, derive_seed, suggest
from hpo_core.space import Space
from hpo_core.yaml_source import parse

EPOCHS = 27
OBJECTIVE = f"""\
epochs: {EPOCHS}
checkpoint_every: {EPOCHS}
dataset: {{name: digits, image_size: 16, batch_size: 64}}
model: {{name: timm/test_resnet}}
optimizer: {{name: sgd, lr: {{float: [1.0e-4, 3.0], log: true}}, momentum: {{float: [0.0, 0.95]}},
            weight_decay: {{float: [1.0e-6, 1.0e-1], log: true}}}}
lr_scheduler:
  choice: [{{name: constant}}, {{name: cosine}}, {{name: one-cycle}}, {{name: step, gamma: {{float: [0.05, 0.7]}}}}]
"""


def main() -> None:
    """Train what is missing in the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--trials", type=int, default=60)
    given = parser.parse_args()
    done = len(given.file.read_text().splitlines()) if given.file.exists() else 0
    with given.file.open("a") as file:
        for number in range(done, given.trials):
            line = json.dumps(train(number))
            file.write(line + "\n")
            file.flush()
            print(number, line[-80:])


def train(number: int) -> dict[str, Any]:
    """The curves of one trial."""
    catalog, _ = plugins.load()
    params, config = _drawn(number)
    reports: list[dict[str, float]] = []

    def keep(report: Report) -> Decision:
        reports.append(report.metrics)
        return CONTINUE

    with tempfile.TemporaryDirectory() as folder:
        seed = derive_seed(1, number, "trial")
        trial = Trial(
            number,
            1,
            "image-classification",
            params,
            config,
            seed,
            "val_accuracy",
            "maximize",
            folder,
        )
        outcome = execute(trial, catalog, keep)
    assert outcome.ending is Ending.COMPLETED, outcome
    curves = {
        name: [round(each[name], 5) for each in reports] for name in ("val_accuracy", "val_loss")
    }
    return {"params": params, **curves}


def _drawn(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters drawn uniformly, and the options with them filled in."""
    import optuna

    space = Space(parse(OBJECTIVE, "objective").data)
    context = SamplerContext(derive_seed(1, number, "sampler"), 1, number, space)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=context.seed))
    asked = study.ask()
    config = space.fill(lambda name, distribution: suggest(asked, name, distribution))
    return dict(asked.params), config


if __name__ == "__main__":
    main()
