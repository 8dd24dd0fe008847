"""A model, an LR scheduler and a dataset of one file each, as the README shows them, in one study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo_core.testing.distributions import use_distributions, write_distribution

HPO = str(Path(sys.executable).with_name("hpo"))
SOURCES = Path(__file__).with_name("one_file")
STUDY = """\
study: stripes
metric: {name: val_accuracy, goal: maximize}
budget: {trials: 3}
objective:
  name: image-classification
  epochs: 3
  dataset: {name: stripes, noise: 0.5}
  model: {name: tiny, width: {int: [8, 16]}}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
  lr_scheduler: {name: knee, search: true}
sampler: random
executor: {name: processes, workers: 1}
"""


def test_they_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for source in sorted(SOURCES.glob("*.py")):
        write_distribution(site, source.stem.replace("_", "-"), source.read_text())
    use_distributions(monkeypatch, site)
    (tmp_path / "stripes.yaml").write_text(STUDY)
    done = subprocess.run(
        [HPO, "run", "stripes.yaml", "--json"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [event for event in events if event["event"] == "trial_finished"]
    assert len(ends) == 3 and max(event["value"] for event in ends) > 0.9
    rates = [event["metrics"]["lr"] for event in events if event["event"] == "report"]
    assert min(rates) < 0.1 == max(rates)  # the knee moved it
