"""`hpo_core.Study` from its first line to predictions and an export, in Python alone."""

from __future__ import annotations

import doctest
import importlib
import json
import runpy
import shutil
from pathlib import Path

import pytest
from hpo_vision.inspection import materializing
from tiny_version import OBJECTIVE

from hpo_core import Model, Study, StudyResult
from hpo_core.errors import StoreError, UsageError
from hpo_core.testing.training import built

README = Path(__file__).parents[3] / "tests"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """Of the study in the README, kept apart from others."""
    folder = tmp_path_factory.mktemp("python")
    with pytest.MonkeyPatch.context() as patch:
        run = Study.run
        apart = {"storage": f"sqlite:///{folder}/hpo.db", "directory": str(folder / "runs")}
        patch.setattr(Study, "run", lambda self: run(Study.from_dict(self.to_dict() | apart)))
        result: StudyResult = runpy.run_path(str(README / "study_in_python.py"))["result"]
    return result


def test_it_predicts_what_was_measured(result: StudyResult, tmp_path: Path) -> None:
    digits = built("datasets", OBJECTIVE["dataset"], 1)
    materializing.write(digits, tmp_path / "digits")
    rows = result.predict([tmp_path / "digits" / "test"], batch_size=50, device="cpu")
    assert result.model is not None and result.model.version.evaluation is not None
    recorded = result.model.version.evaluation["metrics"]["accuracy"]
    right = [row["label"] == Path(row["path"]).parent.name for row in rows]
    assert len(right) == 270 and sum(right) / 270 == recorded
    assert json.loads(json.dumps(rows)) == rows
    assert [len(row["probabilities"]) for row in result.predict([rows[0]["path"]], top=2)] == [2]


def test_it_exports(result: StudyResult, tmp_path: Path) -> None:
    manifest = result.export(tmp_path / "to", normalize_inside=True)
    assert manifest["onnx"]["difference"] < 1e-4 and manifest["onnx"]["normalize_inside"]
    assert {path.name for path in (tmp_path / "to").iterdir()} >= set(manifest["files"])
    with pytest.raises(UsageError, match="is there already"):
        result.export(tmp_path / "to")
    with pytest.raises(TypeError, match="quantise"):
        result.export(tmp_path / "other", quantise=True)


def test_the_registry_and_the_datasets_of_the_readme(
    result: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    shutil.copy(result.storage.removeprefix("sqlite:///"), tmp_path / "runs/hpo.db")
    (tmp_path / "data/pets").mkdir(parents=True)
    (tmp_path / "data/pets/cat.txt").write_text("a cat")
    found = runpy.run_path(str(README / "registry_in_python.py"))
    assert found["registry"].get("tiny-digits@production").label == "tiny-digits@1"
    assert found["version"].sha256 == result.model.version.sha256  # type: ignore[union-attr]
    assert [each.label for each in found["datasets"].versions("pets")] == ["pets@1"]


def test_its_checkpoint_is_the_best_trial_s(result: StudyResult) -> None:
    assert result.checkpoint is not None and result.best is not None
    assert f"trials/{result.best.number:04d}/" in result.checkpoint
    assert (Path(result.checkpoint) / "model.safetensors").is_file()


def test_nothing_to_predict_and_damage_are_said(result: StudyResult, tmp_path: Path) -> None:
    model = Model.load("tiny-digits", result.storage)
    (row,) = model.predict([tmp_path / "none.png"])
    assert "label" not in row and row["error"]
    with pytest.raises(UsageError, match="there is no image in"):
        model.predict([tmp_path])
    weights = model.version.folder / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    for use in (lambda: model.predict([tmp_path]), lambda: model.export(tmp_path / "to")):
        (tmp_path / "a.png").write_bytes(b"")
        with pytest.raises(StoreError, match=r"model\.safetensors"):
            use()
    weights.write_bytes(before)


def test_doctests_of_a_result(result: StudyResult) -> None:
    module = importlib.import_module("hpo_core.facade.result")
    found = doctest.testmod(module, extraglobs={"storage": result.storage})
    assert found.failed == 0 and found.attempted >= 4
