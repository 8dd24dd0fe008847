"""`hpo init` and `hpo schema`: a study to start from, and what editors complete study files from."""

from __future__ import annotations

import json as json_module
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from hpo_core import plugins
from hpo_core.errors import UsageError
from hpo_core.schema import study_schema

SCHEMA_FILE = "hpo.schema.json"

STARTER = """\
# yaml-language-server: $schema={schema}
# Which learning rate suits a tiny residual network? Real handwritten digits, no download, about a minute on two cores.
#   hpo run {file}              run it, or continue it to the same total
#   hpo validate {file}         check it after a change: every problem with its line and column
#   hpo plugins show NAME       the options of anything named below
study: {study}                  # running the same name again continues the study
metric: {{name: val_accuracy, goal: maximize}}
budget: {{trials: 8}}             # finished trials in all, over every restart
seed: 7                         # all randomness derives from it
objective:
  name: image-classification
  epochs: 4
  dataset: {{name: digits, image_size: 32, batch_size: 64}}
  model: {{name: timm/test_resnet}}
  # a distribution may stand wherever a value may: float, int or choice
  optimizer: {{name: sgd, lr: {{float: [1.0e-3, 1.0], log: true}}, momentum: 0.9}}
  lr_scheduler: {{choice: [constant, one-cycle]}}
sampler: {{name: tpe}}            # hpo list samplers
trial_scheduler: {{name: asha, min_epochs: 1, reduction_factor: 2}}   # hpo list trial-schedulers
executor: {{name: processes, workers: 2}}
storage: sqlite:///runs/hpo.db  # any Optuna tool opens it
register: {{best_as: {study}}}    # the best checkpoint becomes a model version: hpo models list
"""


def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path(
        "study.yaml"
    ),
) -> None:
    """Write a commented starter study, and the schema that editors complete it from."""
    if file.exists():
        raise UsageError(f"{file} is there already: name another file")
    name = "".join(
        char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in file.stem
    )
    catalog, _ = plugins.load_enabled()
    file.parent.mkdir(parents=True, exist_ok=True)
    schema = json_module.dumps(study_schema(catalog), indent=1) + "\n"
    (file.parent / SCHEMA_FILE).write_text(schema, encoding="utf-8")
    text = STARTER.format(schema=SCHEMA_FILE, file=file, study=name or "study")
    file.write_text(text, encoding="utf-8")
    print(f"wrote {file} and {file.parent / SCHEMA_FILE}", file=sys.stderr)
    print(f"next: {shlex.join(['hpo', 'run', str(file)])}", file=sys.stderr)


def schema() -> None:
    """Print the JSON Schema of study files, made from the installed plugins."""
    catalog, _ = plugins.load_enabled()
    print(json_module.dumps(study_schema(catalog), indent=1))
