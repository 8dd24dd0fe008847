"""`hpo export`: the files are the model, they are there whole or not at all, and int8 that costs much is left out."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import typer
from hpo_vision.datasets.walk import as_picture
from hpo_vision.export import command, exporting, graph, quantizing, temperature
from hpo_vision.export.card import section
from hpo_vision.export.command import export
from hpo_vision.export.sessions import run, session
from hpo_vision.loading import Described, dataset_of, described, network_of
from recorded import points
from tiny_version import FILES as REGISTERED
from tiny_version import Registered, flipped
from torch import nn
from typer.testing import CliRunner

from hpo_core import HpoError, InputShape
from hpo_core.commands import ModelVersion, Registry, UsageError
from hpo_core.errors import StoreError

FILES = {"MODEL_CARD.md", "labels_mapping.json", "model.onnx", "model.safetensors"}

FRESH = """\
import contextlib, io, json, os, re, sys
import numpy as np, onnxruntime, torch
from pathlib import Path
from hpo_vision.loading import described, network_of

told = []
for name in sys.argv[1:]:
    os.chdir(name)
    manifest = json.loads(Path("manifest.json").read_text())
    about = described(Path("."))
    network, scale = network_of(about), (manifest["temperature"] or {"temperature": 1})["temperature"]
    own = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (1, 2, 7):
        pixels = torch.rand(count, about.shape.channels, about.shape.height, about.shape.width)
        given = pixels if manifest["onnx"]["normalize_inside"] else pixels * 2 - 1
        with torch.no_grad():
            expected = network(pixels * 2 - 1) / scale
        found = own.run(["logits"], {"images": given.numpy()})[0]
        assert found.shape == (count, 10)
        worst = max(worst, float((torch.from_numpy(found) - expected).abs().max()))
    code = re.search("```python\\n(.*?)```", Path("MODEL_CARD.md").read_text(), re.S)[1]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(code.replace("image.png", "../image.png"), {})
    told.append([worst, said.getvalue().strip()])
print(json.dumps(told))
"""


ALONE = """\
import json, sys
import numpy as np, onnxruntime

given = np.load(sys.argv[1])
session = onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
worst = 0.0
for count in (1, 2, 7, 64):
    [found] = session.run(["logits"], {"images": given["images"][:count]})
    assert found.shape == (count, len(json.loads(about["classes"])))
    worst = max(worst, float(np.abs(found - given["logits"][:count]).max()))
[none] = session.run(["logits"], {"images": given["images"][:0]})
assert none.shape == (0, 10)
assert not {"torch", "onnx", "hpo_core"} & set(sys.modules)
print(worst)
"""


def hpo(*words: str | Path) -> Any:
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def version(tiny: Registered) -> ModelVersion:
    return Registry.open(tiny.storage).get("tiny@1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def full(tiny: Registered, folder: Path) -> dict[str, Any]:
    """The manifest of an export with everything, in `full`."""
    options = ("--normalize-inside", "--temperature", "--quantize", "--max-loss", "0.05", "--json")
    done = hpo("tiny@1", "--to", folder / "full", "--storage", tiny.storage, *options)
    assert done.exit_code == 0, (done.output, done.exception)
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def refused(tiny: Registered, folder: Path) -> Any:
    """What was said of an export whose int8 model came out bad, in `plain`, which was empty before."""
    (folder / "plain").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantizing, "_accuracies", lambda *_: ([0.9, 0.8], 10))
        options = ("--storage", tiny.storage, "--quantize", "--max-loss", "0.05")
        return hpo("tiny@1", "--to", folder / "plain", *options)


def test_the_manifest_is_what_there_is(full: dict[str, Any], folder: Path) -> None:
    root = folder / "full"
    assert {path.name for path in root.iterdir()} == FILES | {"model.int8.onnx", "manifest.json"}
    assert json.loads((root / "manifest.json").read_text()) == full
    for name, about in full["files"].items():
        content = (root / name).read_bytes()
        assert about == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    assert set(full["files"]) == FILES | {"model.int8.onnx"}
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_weights_and_labels_are_the_registered_ones(
    full: dict[str, Any], folder: Path, version: ModelVersion
) -> None:
    for name in ("model.safetensors", "labels_mapping.json"):
        assert (folder / "full" / name).read_bytes() == (version.folder / name).read_bytes()
    assert full["model"] == "tiny@1" and full["sha256"] == version.sha256
    card = (folder / "full" / "MODEL_CARD.md").read_text()
    assert card.startswith("# tiny@1") and "## Export" in card and "model.int8.onnx" in card


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
def test_onnx_says_what_it_is(
    full: dict[str, Any], folder: Path, version: ModelVersion, name: str
) -> None:
    content = (folder / "full" / name).read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    about = {each.key: each.value for each in model.metadata_props}
    assert about["model"] == "tiny@1" and about["sha256"] == version.sha256
    assert json.loads(about["classes"]) == [str(number) for number in range(10)]
    assert json.loads(about["input_shape"]) == [3, 16, 16]
    assert json.loads(about["normalization"]) == {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "inside": True,
    }
    assert float(about["temperature"]) == full["temperature"]["temperature"]
    [images], [logits] = model.graph.input, model.graph.output
    sizes = [each.dim_param or each.dim_value for each in images.type.tensor_type.shape.dim]
    assert (images.name, logits.name, sizes[1:]) == ("images", "logits", [3, 16, 16])
    assert isinstance(sizes[0], str)  # any number of images
    for path in (torch.__file__, __file__):  # where it was made is nobody's business
        assert str(Path(path).parent).encode() not in content


def test_a_fresh_process_gets_the_same_logits(
    full: dict[str, Any], refused: Any, folder: Path, version: ModelVersion
) -> None:
    """PyTorch's from the exported weights, ONNX's, and the class that the card's example says."""
    images, _ = next(
        iter(dataset_of(version.config, described(version.folder).classes).batches("val"))
    )
    as_picture((images[0] + 1) / 2).save(folder / "image.png")
    with torch.no_grad():
        guess = int(network_of(described(version.folder))(images[:1]).argmax())
    command = [sys.executable, "-W", "error", "-c", FRESH, folder / "full", folder / "plain"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for difference, said in json.loads(done.stdout):
        assert difference <= 1e-4 and said == str(guess)


def test_onnxruntime_alone_gets_the_same_logits(
    full: dict[str, Any], folder: Path, version: ModelVersion, tmp_path: Path
) -> None:
    """A process that has nothing else gets PyTorch's, for one image, for many and for none at all."""
    pixels = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network_of(described(version.folder))(pixels * 2 - 1)
    expected /= full["temperature"]["temperature"]
    np.savez(tmp_path / "given.npz", images=pixels.numpy(), logits=expected.numpy())
    command = [sys.executable, "-c", ALONE, tmp_path / "given.npz", folder / "full" / "model.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 1e-4


def test_int8_is_small_and_as_good_as_it_says(
    full: dict[str, Any], folder: Path, version: ModelVersion
) -> None:
    about, path = full["quantization"], folder / "full" / "model.int8.onnx"
    assert about["accepted"] and about["part"] == "val" and about["calibrated"] == 256
    assert about["after"]["bytes"] == path.stat().st_size
    assert about["after"]["bytes"] * 3 < about["before"]["bytes"]
    assert about["before"]["accuracy"] == pytest.approx(version.value)
    model, hits = session(path), 0
    for images, labels in dataset_of(version.config, described(version.folder).classes).batches(
        "val"
    ):
        hits += int((run(model, (images.numpy() + 1) / 2).argmax(1) == labels.numpy()).sum())
    assert hits / about["images"] == about["after"]["accuracy"]
    graph = onnx.load(path).graph
    scales = {each.name: each.dims for each in graph.initializer}
    per_channel = [
        node
        for node in graph.node
        if node.op_type == "DequantizeLinear" and list(scales[node.input[1]]) not in ([], [1])
    ]
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert len(per_channel) >= len(convolutions) > 5


def test_a_temperature_changes_no_guess(
    full: dict[str, Any], folder: Path, version: ModelVersion
) -> None:
    about = full["temperature"]
    assert about["ece"]["after"] < about["ece"]["before"] and about["fitted"]
    assert about["nll"]["after"] < about["nll"]["before"]
    assert "rose" not in (folder / "full" / "MODEL_CARD.md").read_text()
    network, model = network_of(described(version.folder)), session(folder / "full" / "model.onnx")
    for images, _ in dataset_of(version.config, described(version.folder).classes).batches("val"):
        with torch.no_grad():
            expected = network(images)
        found = torch.from_numpy(run(model, (images.numpy() + 1) / 2))
        assert torch.equal(found.argmax(1), expected.argmax(1))
        torch.testing.assert_close(found * about["temperature"], expected, atol=1e-3, rtol=1e-4)


def test_a_bad_int8_model_is_left_out(refused: Any, folder: Path) -> None:
    assert refused.exit_code == 1
    assert "loses 0.1000 of the accuracy, more than --max-loss 0.05" in refused.stderr
    root = folder / "plain"
    assert {path.name for path in root.iterdir()} == FILES | {"manifest.json"}
    manifest = json.loads((root / "manifest.json").read_text())
    assert manifest["quantization"]["accepted"] is False and manifest["temperature"] is None
    assert "float32       0.9000" in refused.stdout
    with torch.no_grad():
        assert session(root / "model.onnx").run(None, {"images": np.zeros((3, 3, 16, 16), "f")})


def test_what_is_there_stays(tiny: Registered, full: dict[str, Any], folder: Path) -> None:
    before = (folder / "full" / "manifest.json").stat()
    done = hpo("tiny@1", "--to", folder / "full", "--storage", tiny.storage)
    assert isinstance(done.exception, UsageError) and "is there already" in str(done.exception)
    assert (folder / "full" / "manifest.json").stat() == before


@pytest.mark.parametrize("name", REGISTERED)
def test_a_flipped_byte_is_refused(
    tiny: Registered, version: ModelVersion, tmp_path: Path, name: str
) -> None:
    with flipped(version.folder / name):
        done = hpo("tiny@1", "--to", tmp_path / "new", "--storage", tiny.storage)
    assert isinstance(done.exception, StoreError)
    assert str(version.folder / name) in str(done.exception)
    assert not list(tmp_path.iterdir())
    assert set(version.files) == set(REGISTERED)


@pytest.mark.parametrize("parent", ["/proc", "{}/file"])
def test_where_no_folder_can_be(tiny: Registered, tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").touch()
    to = Path(parent.format(tmp_path)) / "new"
    done = hpo("tiny@1", "--to", to, "--storage", tiny.storage)
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith(f"cannot write {to}: No")


def test_ctrl_c_leaves_nothing(
    tiny: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting._Export, "_write_onnx", interrupted)
    done = hpo("tiny@1", "--to", tmp_path / "new", "--storage", tiny.storage)
    assert done.exit_code == 130 and done.stderr == f"interrupted: {tmp_path}/new was not written\n"
    assert not list(tmp_path.iterdir())


def test_a_changed_copy_is_refused(
    tiny: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the copy, say."""
    monkeypatch.setattr(exporting.shutil, "copyfile", lambda _, to: Path(to).write_bytes(b"x"))
    done = hpo("tiny@1", "--to", tmp_path / "new", "--storage", tiny.storage)
    assert "was changed while it was exported" in str(done.exception)
    assert not (tmp_path / "new").exists() and not (tmp_path / ".new.part").exists()


class Undecided(nn.Module):
    """What it computes depends on the images in a way that no graph can say."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) if images.sum() > 0 else images.amax((2, 3))


def test_a_graph_that_is_not_the_model_does_not_count(tmp_path: Path) -> None:
    half = (0.5,)
    about = Described(tmp_path, {}, InputShape(1, 4, 4, 2), ("a", "b"), half, half)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    exported, path = graph.Exported(network, about, False, 1.0), tmp_path / "model.onnx"
    graph.write(exported, path, {})
    assert graph.difference(exported, path) < 1e-6
    with torch.no_grad():
        network[1].bias.add_(0.01)
    with pytest.raises(HpoError, match=r"its logits differ by 0\.01.* for 1 images"):
        graph.difference(exported, path)
    with pytest.raises(UsageError, match="the model cannot be written as ONNX: "):
        graph.write(graph.Exported(Undecided(), about, False, 1.0), path, {})


def test_libraries_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = hpo("tiny@1", "--to", tmp_path / "new", "--storage", f"sqlite:///{tmp_path}/none.db")
    assert "onnx, onnxscript, onnxruntime: pip install 'hpo-vision[onnx]'" in str(done.exception)


KILLED = """\
import os, signal, sys, types
from pathlib import Path

graph = types.ModuleType("hpo_vision.export.graph")  # torch takes seconds, and this is about files
graph.BATCHES, graph.INPUT, graph.OUTPUT = (1,), "images", "logits"
graph.Exported, graph.difference = lambda *_: None, lambda *_: 0.0
graph.write = lambda exported, path, properties: path.write_bytes(b"onnx")
sys.modules[graph.__name__] = graph
from hpo_core.commands import Registry
from hpo_vision.export import exporting

exporting.network_of = lambda about: None
exporting._Export._write_int8 = lambda self, folder: (folder / "model.int8.onnx").write_bytes(b"int8")
storage, to = sys.argv[1], Path(sys.argv[2])

def attempt(dies_at):
    reached = iter(range(100))
    def step(call):
        def stepped(*given):
            if next(reached) == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given)
        return stepped
    for name in ("weights", "mapping", "onnx", "int8", "card", "manifest"):
        name = f"_{'copy' if name in ('weights', 'mapping') else 'write'}_{name}"
        setattr(exporting._Export, name, step(getattr(exporting._Export, name)))
    os.sync, os.rename = step(os.sync), step(os.rename)
    exporting.export(Registry.open(storage), "tiny@1", to, exporting.Wanted(quantize=True))
    os._exit(0)

for dies_at in range(9):
    child = os.fork()
    if not child:
        attempt(dies_at)
    status = os.waitpid(child, 0)[1]
    print(os.WIFSIGNALED(status), to.exists(), flush=True)
"""


def test_killed_at_any_step_it_is_not_there(tiny: Registered, tmp_path: Path) -> None:
    """Before each of eight steps; the ninth attempt gets through, and nothing of the others is left."""
    command = [sys.executable, "-c", KILLED, tiny.storage, tmp_path / "new"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines() == ["True False"] * 8 + ["False True"], done.stderr
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == FILES | {"manifest.json", "model.int8.onnx"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_the_temperature_of_logits_that_are_too_sure() -> None:
    source = torch.Generator().manual_seed(1)
    logits = torch.randn(4000, 5, generator=source) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=source)[:, 0]
    assert temperature.fit(logits * 3, labels) == pytest.approx(3, rel=0.05)
    assert temperature.fit(logits / 4, labels) == pytest.approx(0.25, rel=0.05)
    assert temperature.fit(torch.eye(5) * 9, torch.arange(5)) == 1  # nothing is wrong


def test_a_fitted_temperature_is_of_the_validation_part() -> None:
    data = points(0)
    alone = replace(data, parts={"val": data.parts["val"]})  # any other part is an error
    found = temperature.fitted(nn.Sequential(nn.Flatten(), nn.Linear(1, 2)), alone)
    assert found.images == 8


def test_what_a_temperature_does_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 0])
    monkeypatch.setattr(temperature, "_logits", lambda *_: (logits, labels))
    monkeypatch.setattr(temperature, "fit", lambda *_: 2.0)
    about = temperature.fitted(nn.Identity(), points(0)).document()
    for scale, when in ((1, "before"), (2, "after")):
        right = (1 / (1 + math.exp(-2 / scale)), 1 / (1 + math.exp(4 / scale)))
        assert about["nll"][when] == pytest.approx(-sum(map(math.log, right)) / 2)
        assert about["ece"][when] == pytest.approx((1 - right[0] + 1 - right[1]) / 2)


@pytest.mark.parametrize(("after", "rose"), [(0.061, True), (0.0579, False)])
def test_a_calibration_error_that_rises_is_said(
    full: dict[str, Any], after: float, rose: bool
) -> None:
    """The likelihood is what is fitted, and it may be had at the cost of the calibration error."""
    about = full["temperature"] | {
        "temperature": 1.531,
        "nll": {"before": 0.4531, "after": 0.399},
        "ece": {"before": 0.0579, "after": after},
    }
    clause = "; the calibration error rose, for what is fitted is the likelihood" * rose
    assert command._temperature(about) == (
        "temperature 1.531: negative log-likelihood 0.4531 -> 0.3990, calibration error 0.0579 -> "
        f"{after:.4f} on 270 images of the part val{clause}"
    )
    assert (
        "negative log-likelihood 0.4531 before, 0.3990 after, calibration error 0.0579 before, "
        f"{after:.4f} after{clause}.\n"
    ) in section(full | {"temperature": about})


def test_what_simplification_takes_away_is_not_quantization_s(full: dict[str, Any]) -> None:
    """A 3x3 convolution of a 1x1 map keeps one weight of nine, say, before anything is quantized."""
    about, said = full["quantization"], "simplified by onnxruntime"
    assert about["after"]["bytes"] < about["simplified_bytes"] <= about["before"]["bytes"]
    assert said not in section(full) and said not in "".join(command._quantization(about))
    much = about | {"simplified_bytes": about["before"]["bytes"] // 5}
    for text in (section(full | {"quantization": much}), command._quantization(much)[-1]):
        assert f"{said}, the model has {about['before']['bytes'] // 5:,} bytes" in text


def test_ranges_are_measured_on_the_training_part() -> None:
    calibration = quantizing._Calibration(points(0), None)
    seen = []
    while (batch := calibration.get_next()) is not None:
        seen.append(batch["images"])
    own = points(0)
    expected = torch.cat([images for images, _ in own.batches("train")]).numpy()
    assert np.array_equal(np.concatenate(seen), expected) and calibration.images == len(expected)
    [first, *_] = quantizing._images(points(0), "train", ((0.5,), (0.25,)))
    assert np.allclose(first[0], seen[0] * 0.25 + 0.5)
