"""What `hpo predict` takes as a model: a version, a folder, an ONNX file; and that it predicts as it was measured."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from data_words import app
from hpo_vision.prediction.models import loaded
from hpo_vision.training.evaluation import measured
from onnx import TensorProto, helper, numpy_helper
from tiny_version import FILES, Registered, flipped
from typer.testing import CliRunner

from hpo_core.commands import Registry, UsageError
from hpo_core.errors import StoreError


def hpo(*words: object) -> subprocess.CompletedProcess[str]:
    """A process of its own."""
    code = "from hpo_core.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=200
    )


def test_a_fresh_process_predicts_as_it_was_measured(tiny: Registered, tmp_path: Path) -> None:
    """The images as files, at the size of the model: the accuracy is that of the evaluation, to the last bit."""
    version = Registry.open(tiny.storage).get("tiny")
    options = {key: each for key, each in version.config["dataset"].items() if key != "name"}
    given = [f"{name}={value}" for name, value in options.items()]
    digits = tmp_path / "digits"
    made = CliRunner().invoke(app, ["materialize", "digits", "--to", str(digits), *given])
    assert made.exit_code == 0, made.output
    recorded = measured(version.folder, version.config, 5)

    words = ("tiny@1", digits / "test", "--storage", tiny.storage, "--truth", "folder")
    more = ("--batch-size", 50, "--output", tmp_path / "rows.jsonl", "--json", "--device", "cpu")
    done = hpo("predict", *words, *more)
    assert done.returncode == 0, done.stderr
    end = json.loads(done.stdout.splitlines()[-1])
    assert end["known"] == recorded.n == 270 and end["unknown"] == end["failed"] == 0
    assert end["accuracy"] == recorded.metrics["accuracy"] > 0.2
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert recorded.classes is not None
    found = np.zeros((10, 10), dtype=int)
    for row in rows:
        found[int(row["truth"]), int(row["label"])] += 1
    confusion = {(label, guess): n for label, guess, n in recorded.classes.confusion}
    assert confusion == {(a, b): n for (a, b), n in np.ndenumerate(found) if n}


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_version_is_refused(tiny: Registered, name: str) -> None:
    folder = Registry.open(tiny.storage).get("tiny").folder
    with flipped(folder / name), pytest.raises(StoreError, match=re.escape(str(folder / name))):
        loaded("tiny@1", tiny.storage, "cpu")


def test_what_is_no_version(tiny: Registered) -> None:
    assert loaded("tiny", tiny.storage, "cpu").name == "tiny@1"
    with pytest.raises(UsageError, match="no model 'tony' - did you mean 'tiny'"):
        loaded("tony", tiny.storage, "cpu")


def test_a_folder_is_enough(tiny: Registered, tmp_path: Path) -> None:
    """With the temperature that its manifest says, and no database."""
    version = Registry.open(tiny.storage).get("tiny")
    pixels = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    expected = loaded("tiny", tiny.storage, "cpu").logits(pixels)
    for name in ("model.safetensors", "labels_mapping.json"):
        (tmp_path / name).write_bytes((version.folder / name).read_bytes())
    assert torch.equal(
        loaded(str(tmp_path), "sqlite:///nowhere.db", "cpu").logits(pixels), expected
    )
    weights = (tmp_path / "model.safetensors").read_bytes()
    manifest: dict[str, Any] = {
        "files": {"model.safetensors": {"sha256": hashlib.sha256(weights).hexdigest()}},
        "temperature": {"temperature": 2.0},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    cooler = loaded(str(tmp_path), "sqlite:///nowhere.db", "cpu").logits(pixels)
    assert torch.equal(cooler, expected / 2)
    (tmp_path / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(UsageError, match=r"model\.safetensors is not what was exported"):
        loaded(str(tmp_path), "sqlite:///nowhere.db", "cpu")
    for text, said in (
        (json.dumps(manifest | {"files": {"gone.onnx": {"sha256": "0"}}}), r"gone\.onnx: No such"),
        ("[1", r"manifest\.json is not what hpo export writes"),
        ("[1]", r"manifest\.json is not what hpo export writes"),
    ):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(UsageError, match=said):
            loaded(str(tmp_path), "sqlite:///nowhere.db", "cpu")


def graph(path: Path, inside: bool, weights: Any, **changes: str) -> Path:
    """A linear classifier of 2x2 pixels in ONNX, with what `hpo export` writes beside it."""
    about = {
        "classes": '["no", "yes"]',
        "input_shape": "[1, 2, 2]",
        "normalization": json.dumps({"mean": [0.25], "std": [0.5], "inside": inside}),
    } | changes
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, 2, 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    made = helper.make_graph(
        nodes, "g", [images], [logits], [numpy_helper.from_array(weights, "weights")]
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, about)
    onnx.save(model, path)
    return path


def test_onnx(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    pixels = torch.tensor([[[[0, 255], [128, 7]]], [[[1, 2], [3, 4]]]], dtype=torch.uint8)
    shares = pixels.numpy().reshape(2, 4) / np.float32(255)
    for inside in (False, True):
        graph(tmp_path / "model.onnx", inside, weights)
        for reference in (tmp_path, tmp_path / "model.onnx"):
            model = loaded(str(reference), "", "auto")
            assert model.classes == ("no", "yes") and model.shape.channels == 1
            expected = (shares if inside else (shares - 0.25) / 0.5) @ weights
            assert np.allclose(model.logits(pixels), expected, atol=1e-6)
    with pytest.raises(UsageError, match="runs on the CPU"):
        loaded(str(tmp_path), "", "cuda")
    graph(tmp_path / "model.onnx", True, weights, classes="[no")
    with pytest.raises(UsageError, match="not made by hpo export"):
        loaded(str(tmp_path), "", "auto")
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(UsageError, match="cannot read"):
        loaded(str(tmp_path), "", "auto")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there(tiny: Registered) -> None:
    with pytest.raises(UsageError, match="finds no device 'cuda'"):
        loaded("tiny", tiny.storage, "cuda")


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hpo_vision.prediction.command import predict; "
        "print({'torch', 'PIL', 'rich', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
