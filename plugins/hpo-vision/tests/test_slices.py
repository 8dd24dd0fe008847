"""Micro-batches: the same training in less memory, after an attempt that ran out of it and not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hpo_vision.training.slices import Slices
from recorded import Calls, network, points
from test_resume import Dropped, attempt, saved, squares
from torch import nn

from hpo_core import CONTINUE, Decision, Ending, HpoError, InputShape, Outcome, Report, Trial
from hpo_core.catalog import Catalog, Entry
from hpo_core.execution import execute
from hpo_core.hookspecs import HOOKS
from hpo_core.testing.training import checked, installed_catalog

RECIPES: dict[str, dict[str, Any]] = {
    "one-cycle": {
        "optimizer": {"name": "sgd", "lr": 0.5, "momentum": 0.9},
        "lr_scheduler": "one-cycle",
    },
    "clipped": {"optimizer": {"name": "adamw", "lr": 0.05}, "max_grad_norm": 0.05},
    "average": {
        "optimizer": {"name": "sgd", "lr": 0.3},
        "ema_decay": 0.7,
        "lr_scheduler": "cosine",
    },
    "mixed": {"optimizer": {"name": "sgd", "lr": 0.3}, "precision": "bf16-mixed"},
}


def trained(folder: Path, halvings: int, **options: Any) -> Calls:
    """Three epochs on 12 points in batches of 5, 5 and 2."""
    calls = Calls(folder, out_of_memory=halvings)
    calls(halve_on_out_of_memory=True, **options)
    return calls


@pytest.mark.parametrize("recipe", RECIPES)
def test_parts_add_up_to_the_whole(tmp_path: Path, recipe: str) -> None:
    whole = trained(tmp_path / "whole", 0, **RECIPES[recipe])
    tolerance = 1e-2 if recipe == "mixed" else 1e-5
    for halvings in (1, 3):
        parts = trained(tmp_path / str(halvings), halvings, **RECIPES[recipe])
        for ours, theirs in zip(
            parts.made("models").parameters(), whole.made("models").parameters(), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
        scheduler = parts.made("lr_schedulers")
        assert scheduler.last_epoch == whole.made("lr_schedulers").last_epoch == 9
        for ours, theirs in zip(parts.reports, whole.reports, strict=True):
            assert ours.metrics["lr"] == theirs.metrics["lr"]
            assert ours.metrics == pytest.approx(theirs.metrics, rel=tolerance, abs=tolerance)


class Watched(nn.Module):
    """Writes down how many images it sees at once while it trains, and does not take more than `limit`."""

    def __init__(self, inner: nn.Module, limit: int = 99) -> None:
        super().__init__()
        self.inner, self.limit = inner, limit
        self.trained: list[int] = []
        self.validated: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        (self.trained if self.training else self.validated).append(len(images))
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        logits: torch.Tensor = self.inner(images)
        return logits


@pytest.mark.parametrize(
    ("halvings", "sizes"),
    [(0, [5, 5, 2]), (1, [3, 2, 3, 2, 1, 1]), (2, [2, 1, 1, 1] * 2 + [1, 1]), (3, [1] * 12)],
)
def test_batches_are_halved_as_often_as_memory_ran_out(
    tmp_path: Path, halvings: int, sizes: list[int]
) -> None:
    calls = trained(tmp_path, halvings, epochs=1, model=lambda shape: Watched(network(shape)))
    seen = calls.made("models")
    assert seen.trained == sizes
    assert max(seen.validated) == max(sizes) and sum(seen.validated) == 8


def test_they_stay_whole_unless_the_study_allows_it(tmp_path: Path) -> None:
    calls = Calls(tmp_path, out_of_memory=2)
    calls(epochs=1, model=lambda shape: Watched(network(shape)))
    assert calls.made("models").trained == [5, 5, 2]


def test_batch_normalization_gets_two_images_at_least(tmp_path: Path) -> None:
    model: Any = lambda shape: Watched(Dropped(shape))  # noqa: E731
    calls = trained(tmp_path, 1, epochs=1, dataset=squares, model=model)
    assert calls.made("models").trained == [3, 2] * 4  # 21 images; one alone is left out
    batch = torch.zeros(7, 1), torch.zeros(7)
    for inner, sizes in ((nn.BatchNorm1d(1), [3, 2, 2]), (nn.Linear(1, 1), [2, 2, 2, 1])):
        assert [len(labels) for _, labels in Slices(2, inner).of(batch)] == sizes


def test_what_cannot_be_halved_again_fails_with_the_reason(tmp_path: Path) -> None:
    trained(tmp_path, 3, epochs=1)  # from 4 parts to 5
    said = "batches of 5 images cannot be halved again: they were cut into 5 before"
    with pytest.raises(HpoError, match=said):
        trained(tmp_path, 4, epochs=1)
    small = torch.zeros(3, 1), torch.zeros(3)
    with pytest.raises(HpoError, match="batches of 3 images"):
        Slices(1, nn.BatchNorm1d(1)).check(small)
    Slices(1, nn.Linear(1, 1)).check(small)
    Slices(0, nn.BatchNorm1d(1)).check((torch.zeros(1, 1), torch.zeros(1)))


def test_a_checkpoint_is_continued_with_parts_of_another_size(tmp_path: Path) -> None:
    """Of a whole batch, then of halves, then whole again, to the same end."""
    recipe = RECIPES["one-cycle"] | {"dataset": points, "model": network, "ema_decay": 0.5}

    def run(folder: str, pause_at: int | None = None, **about: Any) -> Calls:
        options = {**recipe, "halve_on_out_of_memory": True}
        return attempt(tmp_path / folder, "sgd", pause_at, options=options, **about)

    whole = run("whole")
    first = run("parts", 1)
    second = run("parts", 3, checkpoints=saved(first), out_of_memory=1)
    third = run("parts", checkpoints=saved(first, second))
    reports = [*first.reports, *second.reports, *third.reports]
    assert [report.step for report in reports] == [1, 2, 3, 4]
    for ours, theirs in zip(reports, whole.reports, strict=True):
        assert ours.metrics["lr"] == theirs.metrics["lr"]
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-4, abs=1e-6)


# ---- as a trial ----


class Attempts:
    """Runs the attempts at a trial whose model takes `limit` images at most, as a study would."""

    def __init__(
        self,
        folder: Path,
        limit: int = 20,
        inner: Callable[..., nn.Module] = network,
        **options: Any,
    ) -> None:
        self._limit, self._inner = limit, inner
        self.models: list[Watched] = []
        self.reports: list[Report] = []
        self.catalog = Catalog()
        for kind in HOOKS:
            for entry in installed_catalog().entries(kind):
                self.catalog.add(entry)
        self.catalog.add(Entry("models", "greedy", self._greedy, "tests", "tests"))
        config = checked(
            "objectives",
            {
                "name": "image-classification",
                "epochs": 2,
                "dataset": {"name": "digits", "image_size": 8, "channels": 1, "batch_size": 64},
                "model": "resnet18",
                "device": "cpu",
                **options,
            },
        )
        config.pop("name")
        config["model"] = {"name": "greedy"}
        params = {"optimizer.lr": 0.1}
        self.trial = Trial(
            0, 1, "image-classification", params, config, 5, "val_loss", "minimize", str(folder)
        )

    def _greedy(self, shape: InputShape) -> nn.Module:
        self.models.append(Watched(self._inner(shape), self._limit))
        return self.models[-1]

    def run(self) -> Outcome:
        def send(report: Report) -> Decision:
            self.reports.append(report)
            return CONTINUE

        outcome = execute(self.trial, self.catalog, send)
        lost = outcome.out_of_memory
        self.trial = replace(
            self.trial,
            attempt=self.trial.attempt + 1,
            out_of_memory=self.trial.out_of_memory + lost,
        )
        return outcome


def test_a_trial_that_ran_out_of_memory_completes_in_smaller_parts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = Attempts(tmp_path, halve_on_out_of_memory=True)
    outcomes = [attempts.run() for _ in range(3)]
    endings = [(outcome.ending, outcome.out_of_memory) for outcome in outcomes]
    assert endings == [(Ending.LOST, True), (Ending.LOST, True), (Ending.COMPLETED, False)]
    assert outcomes[0].reason.startswith("out of memory: OutOfMemoryError: CUDA out of memory")
    assert [model.trained[0] for model in attempts.models] == [64, 32, 16]
    assert [report.step for report in attempts.reports] == [1, 2]
    assert "each batch is cut into 4 parts, whose gradients add up" in caplog.text
    assert np.isfinite(attempts.reports[-1].metrics["train_loss"])


def test_without_the_option_it_is_tried_as_it_was(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    assert [attempts.run().ending for _ in range(2)] == [Ending.LOST] * 2
    assert [model.trained for model in attempts.models] == [[64], [64]]


def test_the_reason_is_told_when_nothing_is_left_to_halve(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, halve_on_out_of_memory=True)
    attempts.trial = replace(attempts.trial, out_of_memory=7)
    outcome = attempts.run()
    assert outcome.ending is Ending.FAILED and not outcome.out_of_memory
    assert outcome.reason.startswith("HpoError: out of memory, and its batches of 64 images")
