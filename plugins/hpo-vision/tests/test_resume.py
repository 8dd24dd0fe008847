"""A training that pauses, is continued, or is cloned: equal to the bit, or the parent's to the bit."""

from __future__ import annotations

import copy
import json
import logging
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hpo_vision.datasets.batches import IndexedImages
from recorded import Calls
from safetensors.torch import load_file, save_file
from torch import nn

from hpo_core import CONTINUE, Checkpoint, Decision, InputShape, Report

EPOCHS = 4
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "lr_scheduler": "one-cycle"},
    "adamw": {"optimizer": {"name": "adamw", "lr": 0.01}, "lr_scheduler": "cosine"},
    "average": {
        "optimizer": {"name": "sgd", "lr": 0.1, "nesterov": True},
        "lr_scheduler": "step",
        "ema_decay": 0.8,
        "max_grad_norm": 1.0,
    },
    "mixed": {"optimizer": "adamw", "lr_scheduler": "one-cycle", "precision": "bf16-mixed"},
    # at this rate the loss rises at times, and every rise lowers the rate
    "plateau": {
        "optimizer": {"name": "sgd", "lr": 0.5},
        "lr_scheduler": {"name": "A0_033", "threshold": 0.5},
    },
    # averages from the middle of the third epoch of four
    "swa": {
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        "lr_scheduler": {"name": "A0_034", "swa_start": 0.625},
    },
}


class Dropped(nn.Module):
    """A convolution, batch normalization, and all kinds of randomness."""

    def __init__(self, shape: InputShape, width: int = 4) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(shape.channels, width, 3, padding=1)
        self.normalization = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(width * shape.height * shape.width, shape.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            images = images + random.random() + np.random.rand() * torch.rand_like(images)
        hidden = self.dropout(self.normalization(self.convolution(images)).relu())
        return self.head(hidden.flatten(1))


def squares(seed: int) -> IndexedImages:
    """Noise of 4x4 pixels that is brighter for one class; 21 images to train on, in batches of 5."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(33) % 2
    images = torch.randn(33, 2, 4, 4, generator=generator) + labels.reshape(-1, 1, 1, 1)
    parts: Any = {"train": np.arange(21), "val": np.arange(21, 33)}
    return IndexedImages(
        InputShape(2, 4, 4, 2), ("dark", "bright"), parts, labels, lambda i: images[i], 5, seed
    )


def attempt(folder: Path, recipe: str, pause_at: int | None = None, **about: Any) -> Calls:
    """One attempt, paused after the report of epoch `pause_at`."""
    options = {**RECIPES[recipe], **about.pop("options", {})}
    calls = Calls(folder, **about)

    def answer(report: Report) -> Decision:
        return Decision.paused("later") if report.step == pause_at else CONTINUE

    calls.answer = answer
    calls(EPOCHS, **{"dataset": squares, "model": Dropped, **options})
    return calls


def saved(*attempts: Calls) -> tuple[Checkpoint, ...]:
    """Their checkpoints, newest first."""
    reports = [report for calls in attempts for report in calls.reports]
    return tuple(report.checkpoint for report in reversed(reports) if report.checkpoint)


def numbers(*attempts: Calls) -> list[tuple[int, dict[str, float]]]:
    return [(report.step, report.metrics) for calls in attempts for report in calls.reports]


@pytest.fixture(scope="module", params=RECIPES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A recipe and an attempt that was never paused."""
    return request.param, attempt(tmp_path_factory.mktemp("whole"), request.param)


def test_a_paused_run_equals_a_whole_one(whole: tuple[str, Calls], tmp_path: Path) -> None:
    recipe, uninterrupted = whole
    for pause_at in range(1, EPOCHS + 1):
        first = attempt(tmp_path / str(pause_at), recipe, pause_at)
        second = attempt(tmp_path / str(pause_at), recipe, checkpoints=saved(first))
        assert numbers(first, second) == numbers(uninterrupted)
        # after the last epoch nothing is left to be done
        last = (second if second.reports else first).reports[-1].checkpoint
        for name in ("model.safetensors", "state.safetensors"):
            ours, theirs = (
                load_file(Path(one.path, name)) for one in (last, saved(uninterrupted)[0])
            )
            assert all(torch.equal(ours[key], theirs[key]) for key in {*ours, *theirs})


def test_an_epoch_without_a_checkpoint_is_repeated(
    whole: tuple[str, Calls], tmp_path: Path
) -> None:
    recipe, uninterrupted = whole
    rare = {"options": {"checkpoint_every": 2}}
    first = attempt(tmp_path, recipe, 3, **rare)
    second = attempt(tmp_path, recipe, checkpoints=saved(first), **rare)
    assert [report.step for report in first.reports + second.reports] == [1, 2, 3, 3, 4]
    assert numbers(first)[:2] + numbers(second) == numbers(uninterrupted)


@pytest.mark.parametrize("whole", ["average"], indirect=True)
def test_another_process_continues_equally(whole: tuple[str, Calls], tmp_path: Path) -> None:
    recipe, uninterrupted = whole
    code = (
        "import importlib, json, sys, threading\n"
        "from pathlib import Path\n"
        "from hpo_vision.training.classification import image_classification\n"
        "for name in image_classification.preload: importlib.import_module(name)\n"
        "import torch\n"  # importing must leave a process that can be forked
        "assert threading.active_count() == 1 and not torch.cuda.is_initialized()\n"
        "sys.path.append(sys.argv[1])\n"
        "from test_resume import attempt, numbers\n"
        "from hpo_core import Checkpoint\n"
        "given = tuple(map(Checkpoint.from_json, json.loads(sys.argv[2])))\n"
        "print(json.dumps(numbers(attempt(Path(sys.argv[3]), sys.argv[4], checkpoints=given))))"
    )
    first = attempt(tmp_path, recipe, 2)
    given = json.dumps([checkpoint.to_json() for checkpoint in saved(first)])
    command = [sys.executable, "-c", code, str(Path(__file__).parent), given, str(tmp_path), recipe]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    rest = [(step, metrics) for step, metrics in json.loads(done.stdout)]
    assert numbers(first) + rest == numbers(uninterrupted)


def test_nothing_is_pickled(whole: tuple[str, Calls]) -> None:
    for checkpoint in saved(whole[1]):
        names = [path.name for path in Path(checkpoint.path).rglob("*")]
        assert len(names) == 5
        assert all(name.endswith((".safetensors", ".json")) for name in names)


def test_the_average_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    calls = attempt(tmp_path, "average", 2)
    folder = Path(calls.reports[-1].checkpoint.path)  # type: ignore[union-attr]
    kept, trained = load_file(folder / "model.safetensors"), load_file(folder / "state.safetensors")
    assert not torch.equal(kept["head.weight"], trained["state_dict.network.head.weight"])
    model = Dropped(InputShape(2, 4, 4, 2)).eval()
    model.load_state_dict(kept)
    data = squares(0)
    right = [(model(images).argmax(1) == labels).float() for images, labels in data.batches("val")]
    accuracy = calls.reports[-1].metrics["val_accuracy"]
    assert torch.cat(right).mean().item() == pytest.approx(accuracy)


@pytest.mark.parametrize("kept", ["0.9", "0.5"])
def test_average_follows_by_its_formula(kept: str) -> None:
    from hpo_vision.training.averaging import Averaged

    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = Averaged(network, float(kept))
    expected = network[0].weight.item()  # type: ignore[union-attr]
    for value in (1.0, 2.0, 4.0):
        nn.init.constant_(network[0].weight, value)  # type: ignore[arg-type,union-attr]
        network[1].num_batches_tracked += 1  # type: ignore[operator,union-attr]
        average.follow(network)
        expected = float(kept) * expected + (1 - float(kept)) * value
        assert average.network[0].weight.item() == pytest.approx(expected, rel=1e-5)  # type: ignore[index]
    assert average.network[1].num_batches_tracked == 3  # type: ignore[index]


class Parent:
    """A trial that was paused after two epochs, whose clones are looked at before their first step."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.seen: list[dict[str, Any]] = []
        from hpo_vision.training.training import EpochReporter

        def look(reporter: Any, trainer: Any, module: Any) -> None:
            optimizer = trainer.optimizers[0]
            self.seen.append(
                {
                    "epoch": trainer.current_epoch,
                    "weights": {k: v.clone() for k, v in module.validated.state_dict().items()},
                    "optimizer": copy.deepcopy(list(optimizer.state.values())),
                    "group": dict(optimizer.param_groups[0]),
                }
            )

        monkeypatch.setattr(EpochReporter, "on_train_start", look)

    def paused(self, recipe: str, **options: Any) -> Calls:
        return attempt(self.folder / "parent", recipe, 2, options=options)

    def cloned(
        self, parent: Calls, recipe: str, pause_at: int | None = None, **options: Any
    ) -> Calls:
        return attempt(
            self.folder / "child",
            recipe,
            pause_at,
            number=1,
            parent=0,
            checkpoints=saved(parent),
            options=options,
        )


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parent]:
    yield Parent(tmp_path, monkeypatch)


@pytest.mark.parametrize("recipe", ["sgd", "adamw", "average"])
def test_a_clone_begins_with_its_parents_tensors(trials: Parent, recipe: str) -> None:
    parent = trials.paused(recipe)
    folder = Path(parent.reports[-1].checkpoint.path)  # type: ignore[union-attr]
    weights, state = (load_file(folder / f"{name}.safetensors") for name in ("model", "state"))
    child = trials.cloned(parent, recipe)
    first = trials.seen[1]
    assert first["epoch"] == 2 and [report.step for report in child.reports] == [3, 4]
    assert set(first["weights"]) == set(weights)
    assert all(torch.equal(first["weights"][name], weights[name]) for name in weights)
    names = {"sgd": ["momentum_buffer"], "adamw": ["exp_avg", "exp_avg_sq", "step"]}
    for index, tensors in enumerate(first["optimizer"]):
        for name in names.get(recipe, ["momentum_buffer"]):
            stored = state[f"optimizer_states.0.state.{index}.{name}"]
            order = sorted(range(tensors[name].dim()), key=lambda dim: -tensors[name].stride(dim))
            assert torch.equal(tensors[name].permute(order).reshape(-1), stored.reshape(-1))


def test_a_clones_hyperparameters_are_its_own(trials: Parent) -> None:
    parent = trials.paused("sgd")
    own = {"name": "sgd", "lr": 0.02, "momentum": 0.5, "weight_decay": 0.001, "nesterov": True}
    child = trials.cloned(parent, "sgd", optimizer=own, lr_scheduler="cosine")
    group = trials.seen[1]["group"]
    assert {name: group[name] for name in ("momentum", "weight_decay", "nesterov")} == {
        "momentum": 0.5,
        "weight_decay": 0.001,
        "nesterov": True,
    }
    # 4 steps in each of 4 epochs
    rates = [0.01 * (1 + np.cos(np.pi * t / 16)) for t in (8, 11, 15)]
    assert group["lr"] == pytest.approx(rates[0])
    assert [report.metrics["lr"] for report in child.reports] == pytest.approx(rates[1:])


def test_a_clone_that_was_paused_goes_on_as_itself(trials: Parent) -> None:
    parent = trials.paused("adamw")
    own = {"optimizer": {"name": "adamw", "lr": 0.002, "betas": (0.8, 0.9)}, "ema_decay": 0.5}
    child = trials.cloned(parent, "adamw", **own)
    trials.folder = trials.folder / "again"
    first = trials.cloned(parent, "adamw", 3, **own)
    second = trials.cloned(replace(first, reports=first.reports), "adamw", **own)
    assert numbers(first, second) == numbers(child)
    assert trials.seen[-1]["group"]["betas"] == (0.8, 0.9)


def test_a_clone_with_another_optimizer_begins_without_a_state(
    trials: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    parent = trials.paused("sgd")
    with caplog.at_level(logging.WARNING):
        trials.cloned(parent, "adamw")
    assert not trials.seen[1]["optimizer"]
    assert "the parent's optimizer is torch.optim.sgd.SGD" in caplog.text


def test_an_average_can_begin_and_end_with_a_clone(trials: Parent) -> None:
    for before, after in ((None, 0.9), (0.9, None)):
        parent = trials.paused("sgd", ema_decay=before)
        folder = Path(parent.reports[-1].checkpoint.path)  # type: ignore[union-attr]
        trials.cloned(parent, "sgd", ema_decay=after)
        [trained, key] = (
            (load_file(folder / "model.safetensors"), "head.weight")
            if before is None
            else (load_file(folder / "state.safetensors"), "state_dict.network.head.weight")
        )
        assert torch.equal(trials.seen[-1]["weights"]["head.weight"], trained[key])


def test_another_model_cannot_be_inherited(trials: Parent) -> None:
    parent = trials.paused("sgd")
    expected = r"the model does not fit the checkpoint of trial 0: 'convolution.bias' is 4 there and 5 here"
    with pytest.raises(ValueError, match=expected):
        trials.cloned(parent, "sgd", model=lambda shape: Dropped(shape, 5))


def test_a_batch_of_another_size_keeps_the_place_in_the_schedule(trials: Parent) -> None:
    def larger(seed: int) -> IndexedImages:
        return replace(squares(seed), batch_size=7)  # 3 steps in an epoch

    child = trials.cloned(trials.paused("adamw"), "adamw", dataset=larger)
    rates = [0.005 * (1 + np.cos(np.pi * t / 12)) for t in (8, 11)]
    assert [report.metrics["lr"] for report in child.reports] == pytest.approx(rates)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("tensor", "has no tensor"),
        ("key", "has no loops, lr_schedulers"),
        ("text", "is not that of"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, damage: str, message: str) -> None:
    from hpo_vision.training.checkpoints import FolderIO

    first = attempt(tmp_path, "sgd", 1)
    folder = Path(saved(first)[0].path)
    structure = json.loads((folder / "state.json").read_text())
    if damage == "tensor":
        tensors = load_file(folder / "state.safetensors")
        tensors.popitem()
        save_file(tensors, folder / "state.safetensors")
    elif damage == "key":
        del structure["state"]["loops"], structure["state"]["lr_schedulers"]
        (folder / "state.json").write_text(json.dumps(structure))
    else:
        (folder / "state.json").write_text("{}")
    with pytest.raises(ValueError, match=message):
        FolderIO().load_checkpoint(folder)


def test_settings_of_the_process_are_put_back(tmp_path: Path) -> None:
    during: list[bool] = []

    class Watched(Dropped):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            during.append(torch.are_deterministic_algorithms_enabled())
            return super().forward(images)

    for wanted in (True, False):
        options = {"model": Watched, "deterministic": wanted}
        during.clear()
        attempt(tmp_path / str(wanted), "sgd", 1, options=options)
        assert set(during) == {wanted}
        assert not torch.are_deterministic_algorithms_enabled()
