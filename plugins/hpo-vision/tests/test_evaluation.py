"""A real training: its model is measured in a process of its own, registered, and made again from the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hpo_vision.training.evaluation import measured
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hpo_core import InputShape, runner
from hpo_core.plugins import load
from hpo_core.registry.judging import stored
from hpo_core.registry.model_version import ModelVersion, list_versions
from hpo_core.reproduction.training import reproduce
from hpo_core.spec import check
from hpo_core.storage import database
from hpo_core.yaml_source import parse

STUDY = """\
study: tested
metric: {{name: val_accuracy, goal: maximize}}
budget: {{trials: 1}}
seed: 5
objective:
  name: image-classification
  epochs: 3
  device: cpu
  channels_last: false
  dataset: {{name: digits, image_size: 8, channels: 1, batch_size: 32, val_fraction: 0.3, test_fraction: 0.5}}
  model: {{name: timm/test_resnet, weights: {weights}}}
  optimizer: {{name: sgd, lr: {{float: [0.02, 0.1], log: true}}}}
trial_scheduler: none
sampler: random
executor: inline
profiles: false
storage: sqlite:///{folder}/hpo.db
directory: {folder}/runs
register: {{best_as: digits}}
success_criteria:
  {{accuracy: 0.999, largest_share: 0.4, per_class_recall: 0, calibration_error: 1, latency_seconds: 60}}
"""


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """A version of a small study. What its training started from is gone by the time that it is measured."""
    folder = tmp_path_factory.mktemp("study")
    torch.manual_seed(1)
    weights = folder / "start.safetensors"
    text = STUDY.format(folder=folder, weights=weights)
    catalog, _ = load()
    spec = check(parse(text, "study.yaml"), catalog, folder / "study.yaml")
    begin: Any = catalog.entry("models", "timm/test_resnet").factory
    save_file(begin(InputShape(1, 8, 8, 10)).state_dict(), weights)

    def gone(event: Any) -> None:
        if event.kind == "study_finished":
            weights.rename(folder / "moved.safetensors")

    assert runner.run(spec, catalog, [gone]) is None
    (folder / "moved.safetensors").rename(weights)
    (found,) = list_versions(database.open_existing(spec.storage))
    return found


def test_a_version_is_measured_on_the_test_part(version: ModelVersion) -> None:
    found = version.evaluation
    assert found is not None and found["reason"] == ""
    assert (found["part"], found["n"]) == ("test", 899)
    assert {"accuracy", "log_loss", "ece", "latency_seconds", "largest_share"} == set(
        found["metrics"]
    )
    right = sum(n for label, guess, n in found["classes"]["confusion"] if label == guess)
    assert found["metrics"]["accuracy"] == right / 899
    low, high = found["intervals"]["accuracy"]
    assert low < found["metrics"]["accuracy"] < high
    gates = {gate["name"]: gate for gate in found["gates"]}
    assert (
        len(gates) == 5 and not gates["accuracy"]["passed"] and gates["calibration_error"]["passed"]
    )
    data = version.provenance["dataset"]
    assert data["name"] == "digits" and sum(data["images"]["test"].values()) == 899
    assert data["test_sha256"] == found["data"]["test_sha256"]
    assert version.provenance["augmentation"] == {"name": "none"}


def test_the_same_files_give_the_same_numbers(version: ModelVersion) -> None:
    assert version.evaluation is not None
    again = measured(version.folder, version.config, seed=99)  # another order of the training part
    before = dict(version.evaluation["metrics"])
    for name in ("accuracy", "ece", "log_loss"):
        assert again.metrics[name] == pytest.approx(before[name], rel=1e-6)
    assert again.metrics["accuracy"] == before["accuracy"]
    assert again.data == version.evaluation["data"]


def test_a_collapsed_model_trips_the_gate(version: ModelVersion, tmp_path: Path) -> None:
    """The failure that the logo study is built against: whatever is shown, one class is answered."""
    file = version.folder / "model.safetensors"
    with safe_open(file, "pt") as opened:
        about = opened.metadata()
    weights = load_file(file)
    weights["fc.weight"].zero_()
    weights["fc.bias"].zero_()[3] = 1.0
    save_file(weights, tmp_path / "model.safetensors", about)
    document = stored(measured(tmp_path, version.config, 0), {"largest_share": 0.4})
    (gate,) = document["gates"]
    assert (gate["value"], gate["class"], gate["passed"]) == (1.0, "3", False)
    assert "class '3' has 1.0000, which is more than 0.4" in gate["reason"]


def test_it_comes_out_again(version: ModelVersion) -> None:
    done = reproduce(version, None)
    assert done.accepted and done.metric.same and done.same_weights, done.reason
    exact = {each.name: each.same for each in done.tested}
    assert exact["accuracy"] and exact["largest_share"]
    assert [what for what, *_ in done.differences if what.startswith("data")] == []
    assert json.loads(json.dumps(done.to_json()))["reproduced"] is True
