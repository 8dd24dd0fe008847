"""From a version's folder to its network and its dataset: nothing else is needed, and what does not fit is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hpo_vision.loading import dataset_of, described, network_of
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_version import Registered

from hpo_core import InputShape
from hpo_core.commands import ModelVersion, Registry, UsageError


@pytest.fixture
def version(tiny: Registered) -> ModelVersion:
    return Registry.open(tiny.storage).get("tiny")


@pytest.fixture
def copied(version: ModelVersion, tmp_path: Path) -> Path:
    return Path(shutil.copytree(version.folder, tmp_path / "copy"))


def retold(folder: Path, **changes: Any) -> None:
    """Write a folder's weights again with other metadata."""
    path = folder / "model.safetensors"
    with safe_open(path, "np") as file:
        about = dict(file.metadata())
    save_file(
        load_file(path), path, about | {key: json.dumps(value) for key, value in changes.items()}
    )


def test_the_network_scores_what_its_trial_reported(
    tiny: Registered, version: ModelVersion
) -> None:
    about = described(version.folder)
    assert about.shape == InputShape(3, 16, 16, 10) and about.mean == about.std == (0.5,) * 3
    before = torch.get_rng_state()
    network, hits, count = network_of(about), 0, 0
    assert torch.equal(torch.get_rng_state(), before) and not network.training
    for images, labels in dataset_of(version.config, about.classes).batches("val"):
        with torch.no_grad():
            hits += int((network(images).argmax(1) == labels).sum())
        count += len(labels)
    assert hits / count == pytest.approx(tiny.report.metrics["val_accuracy"])


def test_what_the_training_started_from_may_be_gone(version: ModelVersion, copied: Path) -> None:
    model = dict(described(copied).model) | {"weights": "gone.safetensors"}
    retold(copied, model=model)
    found = network_of(described(copied)).state_dict()
    expected = network_of(described(version.folder)).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_version_from_before_the_mapping_was_kept(copied: Path) -> None:
    (copied / "labels_mapping.json").unlink()
    assert described(copied).mean == (0.5,) * 3


@pytest.mark.parametrize(
    "changes",
    [{"classes": 3}, {"input_shape": [3, 16]}, {"model": "resnet18"}, {"input_shape": {}}],
)
def test_damaged_metadata_are_said(copied: Path, changes: dict[str, Any]) -> None:
    """A folder that somebody gives has no sha256 to be compared with."""
    retold(copied, **changes)
    with pytest.raises(UsageError, match=r"the metadata of .*model\.safetensors are damaged"):
        described(copied)


def test_a_scaling_of_other_channels_is_said(copied: Path) -> None:
    mapping = json.loads((copied / "labels_mapping.json").read_text())
    mapping["normalization"]["mean"] = [0.5]
    (copied / "labels_mapping.json").write_text(json.dumps(mapping))
    with pytest.raises(UsageError, match="scales other channels than the 3 of the model"):
        described(copied)


def test_what_does_not_fit_is_said(version: ModelVersion, copied: Path) -> None:
    retold(copied, model={"name": "resnet18"})
    with pytest.raises(UsageError, match="does not fit the model 'resnet18' that is installed"):
        network_of(described(copied))
    retold(copied, classes=["a", "b"])
    with pytest.raises(UsageError, match="other classes than the model beside it"):
        described(copied)
    with pytest.raises(UsageError, match=r"it has the classes '0', '1'.* instead of 'a', 'b'"):
        dataset_of(version.config, ("a", "b"))
    with pytest.raises(UsageError, match="names no dataset"):
        dataset_of({}, ("a", "b"))
    save_file({"x": torch.zeros(1)}, copied / "model.safetensors")
    with pytest.raises(UsageError, match="metadata have no model, classes, input_shape"):
        described(copied)
    (copied / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot read"):
        described(copied)
