"""The objective, on tiny networks: the contract, what it measures, what it calls, what it writes."""

from __future__ import annotations

import errno
import json
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hpo_vision.datasets.batches import IndexedImages
from hpo_vision.training import checkpoints
from hpo_vision.training.reporting import MAPPING
from recorded import Calls, network, points
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model
from torch import nn

from hpo_core import CONTINUE, Decision, InputShape, Report
from hpo_core.testing.training import ObjectiveContract

TINY = {"name": "digits", "image_size": 8, "channels": 1, "batch_size": 512}


class TestImageClassification(ObjectiveContract):
    component: ClassVar = {
        "name": "image-classification",
        "epochs": 2,
        "dataset": TINY,
        "model": {"name": "timm/test_resnet"},
        "optimizer": {"name": "adamw", "lr": 0.003},
        "lr_scheduler": "cosine",
        "device": "cpu",
    }
    metric = "val_accuracy"
    resumable = True


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path)


def test_every_component_is_built_once_and_used(calls: Calls) -> None:
    reports = calls()
    scheduler = calls.made("lr_schedulers")
    assert scheduler.last_epoch == 9  # 3 batches in each of 3 epochs
    assert scheduler.optimizer is calls.made("optimizers")
    weights = list(calls.made("models").parameters())
    assert [id(p) for p in calls.made("optimizers").param_groups[0]["params"]] == list(
        map(id, weights)
    )
    assert [report.step for report in reports] == [1, 2, 3]
    # the rate of the epoch's last step, which is the third, sixth, ninth of T = 9
    expected = [0.25 * (1 + np.cos(np.pi * t / 9)) for t in (2, 5, 8)]
    assert [report.metrics["lr"] for report in reports] == pytest.approx(expected)


def test_metrics_are_what_a_plain_evaluation_gives(calls: Calls) -> None:
    last = calls()[-1].metrics
    model, data = calls.made("models").cpu().eval(), points(0)
    with torch.no_grad():
        outputs = [(model(images), labels) for images, labels in data.batches("val")]
    logits, labels = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    assert last["val_loss"] == pytest.approx(nn.functional.cross_entropy(logits, labels).item())
    assert last["val_accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert (
        last["val_accuracy"] == 1.0 and last["train_loss"] < calls.reports[0].metrics["train_loss"]
    )


def test_metrics_see_permuted_labels(tmp_path: Path) -> None:
    right, wrong = Calls(tmp_path / "right"), Calls(tmp_path / "wrong")
    for one in (right, wrong):
        one.directory.mkdir()
    right()
    wrong(dataset=lambda seed: points(seed, flip_val=True))
    assert right.reports[-1].metrics["val_accuracy"] == 1.0
    assert wrong.reports[-1].metrics["val_accuracy"] == 0.0
    assert wrong.reports[-1].metrics["val_loss"] > right.reports[-1].metrics["val_loss"]


def test_test_part_is_never_asked_for(calls: Calls) -> None:
    asked: list[str] = []

    class Watched(IndexedImages):
        def batches(self, part: Any) -> Any:
            asked.append(part)
            return super().batches(part)

    calls(dataset=lambda seed: Watched(**vars(points(seed))))
    assert sorted(set(asked)) == ["train", "val"]


def test_unknown_metric_fails_before_anything_is_built(calls: Calls) -> None:
    calls.metric = "accuracy"
    with pytest.raises(
        ValueError, match="'accuracy': it reports train_loss, val_loss, val_accuracy"
    ):
        calls()
    assert not calls.built


@pytest.mark.parametrize("metric", ["train_loss", "val_loss"])
def test_other_metrics_can_be_the_studys(calls: Calls, metric: str) -> None:
    calls.metric = metric
    assert [metric in report.metrics for report in calls()] == [True, True, True]


def test_nan_reaches_the_report(calls: Calls) -> None:
    def broken(shape: InputShape) -> nn.Module:
        model = network(shape)
        nn.init.constant_(model[1].weight, float("nan"))  # type: ignore[index]
        return model

    calls.answer = lambda report: Decision.stopped("not finite")
    [report] = calls(model=broken)
    assert report.not_finite() == "train_loss is nan at step 1"
    assert report.checkpoint is None and not (calls.directory / "checkpoints").exists()


def test_gradients_are_clipped(tmp_path: Path) -> None:
    moved = []
    for norm in (None, 1e-6):
        calls = Calls(tmp_path)
        calls(epochs=1, max_grad_norm=norm)
        torch.manual_seed(5)
        [weight, _] = calls.made("models").parameters()
        moved.append(weight.detach().clone())
    assert not torch.equal(moved[0], moved[1])


def test_mixed_precision_computes_in_16_bits(calls: Calls) -> None:
    seen: list[torch.dtype] = []

    def watched(shape: InputShape) -> nn.Module:
        model = network(shape)
        model.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
        return model

    calls(epochs=1, model=watched, precision="bf16-mixed")
    assert set(seen) == {torch.bfloat16}


def test_checkpoints_say_what_they_are(calls: Calls) -> None:
    reports = calls(epochs=2)
    assert reports[1].checkpoint is not None
    folder = Path(reports[1].checkpoint.path)
    states = {"model.safetensors", "state.json", "state.safetensors"}
    assert {path.name for path in folder.iterdir()} == {"manifest.json", MAPPING, *states}
    assert json.loads((folder / MAPPING).read_text())["labels"] == {"no": 0, "yes": 1}
    assert (folder / MAPPING).read_bytes() == (calls.directory / MAPPING).read_bytes()
    with safe_open(folder / "model.safetensors", "pt") as file:
        about = file.metadata()
    assert about["epoch"] == "2"
    assert float(about["val_loss"]) == reports[1].metrics["val_loss"]
    assert json.loads(about["classes"]) == ["no", "yes"]
    assert json.loads(about["model"]) == {"name": "models", "an": "option"}


def test_weights_load_back_to_the_same_outputs(calls: Calls) -> None:
    reports = calls()
    model = calls.made("models").eval()
    loaded = network(InputShape(1, 1, 1, 2)).eval()
    assert reports[-1].checkpoint is not None
    load_model(loaded, Path(reports[-1].checkpoint.path, "model.safetensors"))
    images = torch.randn(6, 1, 1, 1)
    assert torch.equal(loaded(images), model(images))


def test_checkpoints_are_as_rare_as_wished(calls: Calls) -> None:
    reports = calls(epochs=5, checkpoint_every=2)
    assert [report.step for report in reports if report.checkpoint] == [2, 4, 5]


def test_a_full_disk_is_an_os_error(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half of it")
        raise SafetensorError(
            f'Error while serializing: I/O error: No space left on device (os error 28) at path "{path}"'
        )

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        calls()
    assert caught.value.errno == errno.ENOSPC
    assert not calls.reports and not list((calls.directory / "checkpoints").iterdir())


def test_nothing_is_printed_and_signals_stay(
    calls: Calls, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    during: list[Any] = []
    calls.answer = lambda report: (
        during.append([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])
        or CONTINUE
    )
    with caplog.at_level(logging.INFO):
        calls(epochs=1)
    assert during == [handlers]
    assert capfd.readouterr() == ("", "")
    assert {record.name for record in caplog.records} == {"hpo_vision.training.reporting"}


def test_keyboard_interrupt_stays_one(calls: Calls) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(report: Report) -> Decision:
        raise KeyboardInterrupt

    calls.answer = interrupt
    with pytest.raises(KeyboardInterrupt):
        calls()
    assert signal.getsignal(signal.SIGINT) is handler


def test_studies_are_checked_without_torch() -> None:
    code = (
        "import sys\n"
        "from hpo_core.testing.training import checked\n"
        "checked('objectives', {'name': 'image-classification', 'epochs': 1,"
        " 'dataset': 'digits', 'model': 'resnet18'})\n"
        "checked('datasets', {'name': 'image-folder', 'path': 'x'})\n"
        "heavy = {'torch', 'lightning', 'sklearn', 'numpy', 'torchvision', 'PIL'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
