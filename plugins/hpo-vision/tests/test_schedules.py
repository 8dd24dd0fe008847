"""LR schedulers that ask for more than a step: the validation loss once an epoch, or an average of the weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import Calls
from safetensors.torch import load_file
from test_resume import EPOCHS, Dropped, attempt, numbers, saved, squares
from torch import nn

STEPS = 4  # in an epoch of `squares`
FIRST = 10  # the first step whose weights the recipe `swa` averages


def lrs(calls: Calls) -> list[float]:
    return [report.metrics["lr"] for report in calls.reports]


def test_a_plateau_lowers_the_rate_of_the_epochs_after_it(tmp_path: Path) -> None:
    """With the threshold of the recipe no loss but the first is better, and one epoch is waited for."""
    assert lrs(attempt(tmp_path, "plateau")) == pytest.approx([0.5, 0.5, 0.5, 0.25])


def test_a_plateau_knows_only_losses_that_were_measured(tmp_path: Path) -> None:
    """Every loss is better where a thousandth less would do."""
    options = {"lr_scheduler": {"name": "plateau", "threshold": 0}, "model": Dropped}
    calls = attempt(
        tmp_path, "plateau", options={**options, "optimizer": {"name": "sgd", "lr": 1e-3}}
    )
    losses = [report.metrics["val_loss"] for report in calls.reports]
    assert losses == sorted(losses, reverse=True) and len(set(lrs(calls))) == 1


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """One layer's weights after each step."""
    from hpo_vision.training.classifier import Classifier

    seen: list[torch.Tensor] = []
    inner = Classifier.on_train_batch_end

    def spy(module: Any, *given: Any) -> None:
        seen.append(module.network.head.weight.detach().clone())
        inner(module, *given)

    monkeypatch.setattr(Classifier, "on_train_batch_end", spy)
    return seen


def kept(calls: Calls, epoch: int) -> torch.Tensor:
    """The layer's weights in the checkpoint of an epoch."""
    checkpoint = calls.reports[epoch - 1].checkpoint
    assert checkpoint is not None
    return load_file(Path(checkpoint.path, "model.safetensors"))["head.weight"]


def test_the_mean_from_the_first_step_on_is_kept(
    tmp_path: Path, weights: list[torch.Tensor]
) -> None:
    calls = attempt(tmp_path, "swa")
    assert len(weights) == EPOCHS * STEPS
    assert torch.equal(kept(calls, 2), weights[2 * STEPS - 1])
    for epoch in (3, 4):
        mean = torch.stack(weights[FIRST : epoch * STEPS]).mean(0)
        assert torch.allclose(kept(calls, epoch), mean, atol=1e-6)


def test_the_mean_is_what_is_validated(tmp_path: Path) -> None:
    calls = attempt(tmp_path, "swa")
    model = Dropped(squares(0).shape).eval()
    checkpoint = calls.reports[-1].checkpoint
    assert checkpoint is not None
    model.load_state_dict(load_file(Path(checkpoint.path, "model.safetensors")))
    losses = [
        nn.functional.cross_entropy(model(images), labels, reduction="none").detach()
        for images, labels in squares(0).batches("val")
    ]
    assert calls.reports[-1].metrics["val_loss"] == pytest.approx(torch.cat(losses).mean().item())


def test_two_averages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="averages the weights itself: leave out ema_decay"):
        attempt(tmp_path, "swa", options={"ema_decay": 0.9})


def test_a_clone_averages_its_own_weights(
    tmp_path: Path, weights: list[torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    parent = attempt(tmp_path / "parent", "swa", 3)
    weights.clear()
    with caplog.at_level(logging.WARNING):
        child = attempt(tmp_path / "child", "swa", number=1, parent=0, checkpoints=saved(parent))
    assert not [said for said in caplog.records if said.levelno >= logging.WARNING]
    assert torch.allclose(kept(child, 1), torch.stack(weights).mean(0), atol=1e-6)
    assert len(weights) == STEPS


def test_a_clone_waits_for_a_plateau_of_its_own(tmp_path: Path) -> None:
    parent = attempt(tmp_path / "parent", "plateau", 3)
    child = attempt(
        tmp_path / "child",
        "plateau",
        number=1,
        parent=0,
        checkpoints=saved(parent),
        options={"optimizer": {"name": "sgd", "lr": 0.2}},
    )
    assert lrs(child) == [0.2]


def test_a_schedule_of_epochs_is_stepped_once_an_epoch(tmp_path: Path) -> None:
    """One of another plugin, without a loss: it says `interval = "epoch"` and is told the number of epochs."""
    totals: list[int] = []

    def halving(optimizer: Any, epochs: int) -> Any:
        totals.append(epochs)
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    halving.interval = "epoch"  # type: ignore[attr-defined]
    options = {"lr_scheduler": halving}
    first = attempt(tmp_path, "plateau", 2, options=options)
    second = attempt(tmp_path, "plateau", options=options, checkpoints=saved(first))
    assert lrs(first) + lrs(second) == [0.5, 0.25, 0.125, 0.0625]
    assert totals == [EPOCHS, EPOCHS]
    whole = attempt(tmp_path / "whole", "plateau", options=options)
    assert numbers(first, second) == numbers(whole)
