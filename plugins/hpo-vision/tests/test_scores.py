"""What a validation says of each class, and that it is about the classes: permuted guesses are worth nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hpo_vision.datasets.batches import IndexedImages
from hpo_vision.training.labels import table
from hpo_vision.training.scores import Scored, Scores
from recorded import Calls, component, points
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torchmetrics.functional.classification import multiclass_confusion_matrix

from hpo_core import ClassReport, InputShape


def scored(guesses: Tensor, labels: Tensor, classes: int) -> Scored:
    scores = Scores(classes, per_class=True)
    for part in torch.arange(len(labels)).split(7):
        scores.add(one_hot(guesses[part], classes).float(), labels[part])
    return scores.scored()


def report_of(found: Scored, classes: int) -> ClassReport:
    names = tuple(f"class {number}" for number in range(classes))
    empty: Any = {"parts": {}, "labels": torch.zeros(0), "load": None, "batch_size": 1, "seed": 0}
    groups = {"even": names[::2], "last": names[-1:]}
    data = IndexedImages(InputShape(1, 1, 1, classes), names, groups=groups, **empty)
    report = found.report(data)
    assert report is not None
    return report


def test_scores_of_classes_by_hand() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    report = report_of(scored(torch.tensor([0, 0, 1, 1, 0, 0]), labels, 3), 3)
    assert report.precision == pytest.approx((2 / 4, 1 / 2, 0.0))
    assert report.recall == pytest.approx((2 / 3, 1 / 2, 0.0))
    assert report.f1 == pytest.approx((4 / 7, 1 / 2, 0.0))
    assert report.confusion == ((0, 0, 2), (0, 1, 1), (1, 0, 1), (1, 1, 1), (2, 0, 1))
    assert report.groups == {"even": (0, 2), "last": (2,)}


def test_the_list_of_confusions_is_torchmetrics_matrix() -> None:
    torch.manual_seed(0)
    guesses, labels = torch.randint(12, (2, 300)).unbind(0)
    matrix = torch.zeros(12, 12, dtype=torch.long)
    for label, guess, images in report_of(scored(guesses, labels, 12), 12).confusion:
        matrix[label, guess] = images
    assert torch.equal(matrix, multiclass_confusion_matrix(guesses, labels, 12))


def test_means_over_classes_forget_how_many_images_they_have() -> None:
    overall = scored(torch.zeros(20, dtype=torch.long), (torch.arange(20) > 17).long(), 2).overall
    assert overall["val_accuracy"] == pytest.approx(0.9)
    assert overall["val_balanced_accuracy"] == pytest.approx(0.5)
    assert overall["val_f1"] == pytest.approx(18 / 19 / 2)
    assert "val_top5" not in overall


def test_top5_counts_the_five_most_likely() -> None:
    scores = Scores(8, per_class=False)
    scores.add(torch.arange(8.0).expand(8, 8), torch.arange(8))
    found = scores.scored()
    assert found.overall == {"val_accuracy": 1 / 8, "val_top5": 5 / 8} and found.of_classes is None


def test_many_classes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="set class_metrics to false"):
        Scores(21_843, per_class=True)
    scores = Scores(21_843, per_class=False)
    scores.add(torch.eye(3, 21_843), torch.arange(3))
    assert scores.scored().overall["val_accuracy"] == 1.0


def test_a_class_that_draws_all_guesses_is_told() -> None:
    labels = torch.arange(100) % 10
    assert scored(labels, labels, 10).favoured() is None
    half = torch.where(torch.arange(100) < 50, 3, labels)
    assert scored(half, labels, 10).favoured() == (3, pytest.approx(0.55), pytest.approx(0.1))
    common = torch.where(torch.arange(100) < 70, 0, 1)
    assert scored(common, common, 2).favoured() is None, "it is as frequent among the images"


# ---- in a training ----

DIGITS = {"name": "digits", "image_size": 8, "channels": 1, "batch_size": 64}


class Keeping(nn.Module):
    """A small network that keeps the logits and labels of the last validation."""

    def __init__(self, shape: InputShape) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)
        return logits


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Calls, Any]:
    """A real network, trained on the digits, and the dataset."""
    calls = Calls(tmp_path_factory.mktemp("trained"), metric="val_f1")
    digits = component("datasets", DIGITS)
    calls(4, dataset=digits.build, model=Keeping, optimizer={"name": "adamw", "lr": 0.01})
    return calls, digits.build(0)


def test_a_training_reports_its_classes(trained: tuple[Calls, Any]) -> None:
    calls, data = trained
    for report in calls.reports:
        told = report.classes
        assert told is not None and told.classes == tuple("0123456789")
        assert sum(images for *_, images in told.confusion) == len(data.parts["val"])
        right = sum(images for label, guess, images in told.confusion if label == guess)
        assert right / len(data.parts["val"]) == pytest.approx(report.metrics["val_accuracy"])
        assert report.metrics["val_f1"] == pytest.approx(sum(told.f1) / 10)
        assert report.metrics["val_balanced_accuracy"] == pytest.approx(sum(told.recall) / 10)
        assert report.metrics["val_accuracy"] < report.metrics["val_top5"] <= 1
        assert ClassReport.from_json(told.to_json()) == told


def test_permuted_guesses_drop_every_class_to_chance(trained: tuple[Calls, Any]) -> None:
    """What is measured must come from the guesses: with those of other images no class keeps anything."""
    calls, data = trained
    model = calls.made("models").eval()
    with torch.no_grad():
        outputs = [(model(images).argmax(1), labels) for images, labels in data.batches("val")]
    guesses, labels = (torch.cat(part) for part in zip(*outputs, strict=True))
    honest = report_of(scored(guesses, labels, 10), 10)
    assert honest.f1 == pytest.approx(calls.reports[-1].classes.f1)  # type: ignore[union-attr]
    assert min(*honest.precision, *honest.recall, *honest.f1) > 0.75
    torch.manual_seed(0)
    rounds = [
        report_of(scored(guesses[torch.randperm(len(guesses))], labels, 10), 10) for _ in range(20)
    ]
    for name in ("precision", "recall", "f1"):
        means = torch.tensor([getattr(each, name) for each in rounds]).mean(0)
        assert float((means - 0.1).abs().max()) < 0.05, name


def test_the_log_says_what_there_is_to_learn_from(trained: tuple[Calls, Any]) -> None:
    calls, data = trained
    log = (calls.directory / "log.txt").read_text()
    assert "INFO: images of each class\nclass    train      val\n0" in log
    lines = [line.split() for line in log.splitlines()]
    assert ["all", str(len(data.parts["train"])), str(len(data.parts["val"]))] in lines
    assert "drew" not in log


def test_a_part_that_does_not_count_its_images_is_not_read() -> None:
    assert table(points(0), None, (4, 4)).splitlines()[1].split() == ["no", "?", "4"]


def test_a_sampler_s_draws_are_logged(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    calls(2, dataset=component("datasets", DIGITS | {"sampler_power": 1.0}).build, model=Keeping)
    drawn = [line for line in (tmp_path / "log.txt").read_text().splitlines() if "drew" in line]
    assert (
        len(drawn) == 2 and drawn[0].startswith("INFO: epoch 1 drew 0: ") and drawn[0] != drawn[1]
    )


def test_a_collapse_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls = Calls(tmp_path)
    with caplog.at_level(logging.WARNING):
        calls(
            3,
            dataset=component("datasets", DIGITS).build,
            model=Keeping,
            optimizer={"name": "sgd", "lr": 50.0},
        )
    [said] = [record.getMessage() for record in caplog.records if "collaps" in record.message]
    assert "of the guesses" in said and said in (tmp_path / "log.txt").read_text()


def test_class_metrics_may_be_left_out(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    [report] = calls(1, class_metrics=False)
    assert report.classes is None
    assert set(report.metrics) == {"train_loss", "val_loss", "val_accuracy", "lr"}


@pytest.mark.parametrize(
    ("metric", "options", "said"),
    [
        ("val_top5", {}, "no val_top5 with 2 classes"),
        ("val_f1", {"class_metrics": False}, "set class_metrics to true"),
    ],
)
def test_a_metric_that_will_not_be_there_is_refused_at_once(
    tmp_path: Path, metric: str, options: dict[str, Any], said: str
) -> None:
    calls = Calls(tmp_path, metric=metric)
    with pytest.raises(ValueError, match=said):
        calls(1, **options)
    assert not calls.reports
