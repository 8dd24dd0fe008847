"""The objective, on tiny networks: the contract, what it measures, what it calls, what it writes."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hpo_vision import _weights
from hpo_vision.batches import IndexedImages
from hpo_vision.classification import image_classification
from safetensors import safe_open
from safetensors.torch import load_model
from torch import nn

from hpo_core import CONTINUE, Component, Decision, InputShape, Report, Trial
from hpo_core.execution import LiveRun
from hpo_core.testing.training import ObjectiveContract, built

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


def network(shape: InputShape) -> nn.Module:
    """A linear classifier: fast, and learns."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(shape.channels * shape.height * shape.width, shape.classes)
    )


def points(seed: int, *, flip_val: bool = False) -> IndexedImages:
    """Two classes that one pixel tells apart; 12 to train on, 8 to validate."""
    labels = torch.arange(20) % 2
    images = (labels.float() * 2 - 1).reshape(20, 1, 1, 1) + torch.arange(20.0).reshape(
        -1, 1, 1, 1
    ) / 100
    told = labels.clone()
    if flip_val:
        told[12:] = 1 - told[12:]
    parts: Any = {"train": np.arange(12), "val": np.arange(12, 20)}
    shape = InputShape(1, 1, 1, 2)
    return IndexedImages(shape, ("no", "yes"), parts, told, lambda i: images[i], 5, seed)


@dataclass
class Calls:
    """Runs the objective on components that are recorded when they are built."""

    directory: Path
    metric: str = "val_accuracy"
    reports: list[Report] = field(default_factory=list)
    built: list[tuple[str, Any]] = field(default_factory=list)
    answer: Callable[[Report], Decision] = lambda report: CONTINUE

    def component(self, kind: str, build: Callable[..., Any]) -> Component:
        def recorded(*positional: Any) -> Any:
            made = build(*positional)
            self.built.append((kind, made))
            return made

        return Component(kind, {"an": "option"}, recorded)

    def send(self, report: Report) -> Decision:
        self.reports.append(report)
        return self.answer(report)

    def __call__(self, epochs: int = 3, lr: float = 0.5, **changes: Any) -> list[Report]:
        goal: Any = "minimize" if self.metric.endswith("loss") else "maximize"
        trial = Trial(0, 1, "", {}, {}, 5, self.metric, goal, str(self.directory))
        image_classification(
            LiveRun(trial, self.send),
            epochs=epochs,
            dataset=self.component("datasets", changes.pop("dataset", points)),
            model=self.component("models", changes.pop("model", network)),
            optimizer=self.component(
                "optimizers", lambda params: torch.optim.SGD(list(params), lr=lr)
            ),
            lr_scheduler=self.component(
                "lr_schedulers",
                lambda optimizer, total_steps: built(
                    "lr_schedulers", "cosine", optimizer, total_steps
                ),
            ),
            device="cpu",
            **changes,
        )
        return self.reports

    def made(self, kind: str) -> Any:
        [only] = [made for name, made in self.built if name == kind]
        return only


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
    assert [report.checkpoint is not None for report in calls()] == [True, True, True]


def test_nan_reaches_the_report(calls: Calls) -> None:
    def broken(shape: InputShape) -> nn.Module:
        model = network(shape)
        nn.init.constant_(model[1].weight, float("nan"))  # type: ignore[index]
        return model

    calls.answer = lambda report: Decision.stopped("not finite")
    [report] = calls(model=broken)
    assert report.not_finite() == "train_loss is nan at step 1"
    assert report.checkpoint is None and not list(calls.directory.iterdir())


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


def test_best_weights_are_those_of_the_best_epoch(calls: Calls) -> None:
    # trained on flipped labels, each epoch is worse than the one before: the first is the best
    calls.metric = "val_loss"
    reports = calls(dataset=lambda seed: points(seed, flip_val=True))
    [path] = [report.checkpoint for report in reports if report.checkpoint]
    assert reports[0].checkpoint == path == str(calls.directory / "best.safetensors")
    with safe_open(path, "pt") as file:
        about = file.metadata()
    assert about["epoch"] == "1"
    assert float(about["val_loss"]) == reports[0].metrics["val_loss"]
    assert json.loads(about["classes"]) == ["no", "yes"]
    assert json.loads(about["model"]) == {"name": "models", "an": "option"}


def test_weights_load_back_to_the_same_outputs(calls: Calls) -> None:
    calls.metric = "val_loss"
    reports = calls()
    model = calls.made("models").eval()
    assert reports[-1].checkpoint is not None
    loaded = network(InputShape(1, 1, 1, 2)).eval()
    load_model(loaded, reports[-1].checkpoint)
    images = torch.randn(6, 1, 1, 1)
    assert torch.equal(loaded(images), model(images))


def test_a_failed_write_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = _weights.BestWeights(tmp_path, "maximize")
    path = weights.offer(nn.Linear(2, 2), 0.1, {})
    assert path is not None
    before = Path(path).read_bytes()

    def full(model: nn.Module, filename: str, *rest: Any, **more: Any) -> None:
        Path(filename).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_weights, "save_model", full)
    with pytest.raises(OSError, match="No space"):
        weights.offer(nn.Linear(2, 2), 0.2, {})
    assert [file.name for file in tmp_path.iterdir()] == ["best.safetensors"]
    assert Path(path).read_bytes() == before


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
    assert capfd.readouterr() == ("", "") and not caplog.records


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
