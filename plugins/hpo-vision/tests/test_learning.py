"""What a training makes small and how: losses, optimizers that evaluate twice, groups of parameters."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hpo_vision.datasets.batches import IndexedImages
from hpo_vision.training.labels import count, labels_of
from hpo_vision.training.parameter_groups import Grouping, layers
from recorded import Calls, network, points
from test_resume import attempt, saved
from torch import Tensor, nn

from hpo_core import Decision, InputShape
from hpo_core.testing.training import built


class Seen(nn.Module):
    """A linear classifier behind batch normalization that notes its weights and images in each training pass."""

    def __init__(self, shape: InputShape) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(shape.channels)
        self.linear = network(shape)
        self.passes: list[tuple[list[Tensor], Tensor, Tensor]] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            weights = [weight.detach().clone() for weight in self.parameters()]
            self.passes.append((weights, images.clone(), self.norm.running_mean.clone()))  # type: ignore[union-attr]
        logits: Tensor = self.linear(self.norm(images))
        return logits


def sam(rho: float = 0.2, name: str = "sam", **options: Any) -> dict[str, Any]:
    base = {"name": "sgd", "lr": 0.3, "momentum": 0.5}
    return {"name": name, "rho": rho, "base": base, **options}


# ---- optimizers that evaluate twice ----


@pytest.mark.parametrize("halvings", [0, 1])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_second_pass_is_of_the_same_batch_uphill(
    tmp_path: Path, halvings: int, precision: str
) -> None:
    calls = Calls(tmp_path, out_of_memory=halvings)
    calls(1, model=Seen, optimizer=sam(), precision=precision, halve_on_out_of_memory=True)
    passes, parts = calls.made("models").passes, 2**halvings
    assert len(passes) == 2 * (5 if halvings else 3)
    first, second = passes[:parts], passes[parts : 2 * parts]
    for (weights, images, _), (uphill, again, _) in zip(first, second, strict=True):
        assert torch.equal(images, again)
        moved = torch.cat([(b - a).flatten() for a, b in zip(weights, uphill, strict=True)])
        assert float(moved.norm()) == pytest.approx(0.2, rel=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(first[0][0], first[-1][0], strict=True))


def test_the_perturbation_is_along_the_gradient_and_gone_after_the_step(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    calls(1, model=Seen, optimizer=sam(), lr_scheduler="constant")
    (before, images, _), (uphill, _, _), (after, _, _), *_ = calls.made("models").passes
    labels = (images.flatten() > 0).long()  # the points are near -1 and 1

    def gradients(weights: list[Tensor]) -> list[Tensor]:
        model = Seen(InputShape(1, 1, 1, 2))
        for own, value in zip(model.parameters(), weights, strict=True):
            own.data.copy_(value)
        loss = nn.functional.cross_entropy(model(images), labels)
        return list(torch.autograd.grad(loss, list(model.parameters())))

    gradient = gradients(before)
    length = torch.cat([each.flatten() for each in gradient]).norm()
    torch.testing.assert_close(
        uphill,
        [weight + 0.2 * each / length for weight, each in zip(before, gradient, strict=True)],
    )
    torch.testing.assert_close(
        after, [weight - 0.3 * each for weight, each in zip(before, gradients(uphill), strict=True)]
    )


def test_without_a_radius_all_is_as_with_the_base(tmp_path: Path) -> None:
    """The batch is counted once: in the loss, in normalization's statistics, in the average, in the LR schedule."""
    options: Any = {
        "model": Seen,
        "ema_decay": 0.7,
        "max_grad_norm": 0.1,
        "lr_scheduler": "one-cycle",
    }
    base, sharp = Calls(tmp_path / "base"), Calls(tmp_path / "sharp")
    base(optimizer=sam()["base"], **options)
    sharp(optimizer=sam(0.0), **options)
    for ours, theirs in zip(sharp.reports, base.reports, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics)
    ours, theirs = sharp.made("models").state_dict(), base.made("models").state_dict()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value)
    assert theirs["norm.num_batches_tracked"] == 9


def test_the_loss_uphill_is_not_reported(tmp_path: Path) -> None:
    still = {"name": "sgd", "lr": 1e-30, "momentum": 0.0}
    base, sharp = Calls(tmp_path / "base"), Calls(tmp_path / "sharp")
    base(1, optimizer=still)
    sharp(1, optimizer={"name": "sam", "rho": 5.0, "base": still})
    assert sharp.reports[0].metrics == base.reports[0].metrics


def test_the_gradient_uphill_is_clipped(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    optimizer = sam() | {"base": {"name": "sgd", "lr": 1.0, "momentum": 0.0}}
    calls(1, model=Seen, optimizer=optimizer, max_grad_norm=1e-3, lr_scheduler="constant")
    (before, _, _), _, (after, _, _), *_ = calls.made("models").passes
    moved = torch.cat([(b - a).flatten() for a, b in zip(before, after, strict=True)])
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("name", ["sam", "looksam", "friendlysam", "wsam"])
def test_a_paused_trial_continues_as_if_it_had_not(tmp_path: Path, name: str) -> None:
    options = {
        "dataset": points,
        "model": Seen,
        "optimizer": sam(name=name),
        "loss": "adaptive-focal",
    }
    whole = attempt(tmp_path / "whole", "sgd", options=options)
    first = attempt(tmp_path / "parts", "sgd", 2, options=options)
    second = attempt(tmp_path / "parts", "sgd", checkpoints=saved(first), options=options)
    reports = [*first.reports, *second.reports]
    assert [report.metrics for report in reports] == [report.metrics for report in whole.reports]


def test_scaled_gradients_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch import Trainer

    monkeypatch.setattr(Trainer, "precision", "16-mixed")
    with pytest.raises(ValueError, match="'bf16-mixed' or '32-true'"):
        Calls(tmp_path)(1, optimizer=sam())


# ---- losses ----


def test_the_loss_is_trained_with_and_cross_entropy_validated(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    calls.answer = lambda report: Decision.stopped("enough")
    loss = {
        "name": "composite",
        "loss": "cross-entropy",
        "weight": 7.0,
        "uncertainty": 0,
        "prior": 0,
    }
    still: Any = {"name": "sgd", "lr": 1e-30, "momentum": 0.0}
    seven = calls(1, loss=loss, optimizer=still)[-1].metrics
    plain = Calls(tmp_path / "plain")(1, optimizer=still)[-1].metrics
    assert seven["train_loss"] == pytest.approx(7 * plain["train_loss"])
    assert seven["val_loss"] == plain["val_loss"]


def skewed(seed: int) -> IndexedImages:
    """Points of which nine are of one class and three of the other in training, none of that in validation."""
    data = points(seed)
    told = data.labels.clone()
    told[:9], told[9:12], told[12:] = 0, 1, 0
    return IndexedImages(**{**vars(data), "labels": told})


def test_classes_are_counted_in_the_training_part_only(tmp_path: Path) -> None:
    calls = Calls(tmp_path)
    calls(1, loss={"name": "cross-entropy", "class_weight_power": 1.0}, dataset=skewed)
    weights = calls.made("losses").weights.tolist()
    assert weights == pytest.approx([12 / 9 / 2, 12 / 3 / 2])


def test_batches_without_labels_are_read_for_them() -> None:
    class Foreign:
        def __init__(self) -> None:
            self.inner = skewed(0).batches("train")
            self.epochs: list[int] = []

        def __iter__(self) -> Any:
            return iter(self.inner)

        def __len__(self) -> int:
            return len(self.inner)

        def set_epoch(self, epoch: int) -> None:
            self.epochs.append(epoch)
            self.inner.set_epoch(epoch)

    foreign = Foreign()
    assert count(foreign, 3) == (9, 3, 0) and foreign.epochs == [0]
    assert labels_of(skewed(0), 5).count() == (9, 3)


def test_epochs_reach_a_loss_that_waits_for_one(tmp_path: Path) -> None:
    """Also in a trial that goes on in another attempt."""
    options: Any = {
        "dataset": skewed,
        "model": network,
        "loss": {"name": "ldam", "reweight_from": 0.5},
    }
    first = attempt(tmp_path, "sgd", 1, options=options)
    assert first.made("losses").weighs is False
    second = attempt(tmp_path, "sgd", checkpoints=saved(first), options=options)
    assert second.made("losses").weighs is True


def test_a_loss_that_adapts_sees_each_batch_once(tmp_path: Path) -> None:
    losses = []
    still = {"name": "sgd", "lr": 1e-30, "momentum": 0.0}
    sharp = {"name": "sam", "rho": 5.0, "base": still}
    for halvings, optimizer in ((0, still), (2, still), (0, sharp)):
        calls = Calls(tmp_path / str(len(losses)), out_of_memory=halvings)
        calls(1, loss="adaptive-focal", optimizer=optimizer, halve_on_out_of_memory=True)
        losses.append(calls.made("losses").state_dict())
    assert not torch.equal(losses[0]["recall"], torch.full((2,), 0.5))
    for other in losses[1:]:
        for name, value in losses[0].items():
            torch.testing.assert_close(other[name], value)


@pytest.mark.parametrize(
    ("parents", "childs"), [("adaptive-focal", "focal"), ("focal", "adaptive-focal")]
)
def test_a_clone_may_have_another_loss(tmp_path: Path, parents: str, childs: str) -> None:
    options: Any = {"dataset": points, "model": network}
    parent = attempt(tmp_path / "parent", "sgd", 2, options={**options, "loss": parents})
    child = Calls(tmp_path / "child", number=1, parent=0, checkpoints=saved(parent))
    reports = child(3, loss=childs, **options)
    assert [report.step for report in reports] == [3]


# ---- groups ----


class Net(nn.Module):
    """A stem, two stages and a classifier, named as torchvision does it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2)
        self.layer1 = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Sequential(nn.Conv2d(2, 2, 1)))
        self.layer2 = nn.Sequential(nn.Conv2d(2, 2, 1))
        self.fc = nn.Linear(2, 3)


def test_layers_of_a_plain_network() -> None:
    assert layers(Net()) == {
        "conv1.weight": 0, "bn1.weight": 0, "bn1.bias": 0,
        "layer1.0.weight": 1, "layer1.0.bias": 1, "layer1.1.0.weight": 2, "layer1.1.0.bias": 2,
        "layer2.0.weight": 3, "layer2.0.bias": 3, "fc.weight": 4, "fc.bias": 4,
    }  # fmt: skip


def test_layers_of_timm_and_torchvision() -> None:
    vit = layers(built("models", "timm/test_vit", InputShape(3, 32, 32, 10)))
    assert vit["patch_embed.proj.weight"] == 0 and vit["head.weight"] == max(vit.values())
    assert vit["blocks.0.attn.qkv.weight"] < vit["blocks.1.attn.qkv.weight"]
    resnet = layers(built("models", "resnet18", InputShape(3, 32, 32, 10)))
    assert sorted(set(resnet.values())) == list(range(10))


@pytest.mark.parametrize("backbone", ["timm/test_vit", "resnet18"])
@pytest.mark.parametrize("fusion", ["separate", "shared", "channel"])
def test_networks_side_by_side_have_the_same_layers(backbone: str, fusion: str) -> None:
    tree = {"name": "multi-input", "backbone": backbone, "inputs": 2, "fusion": fusion}
    network = built("models", tree, InputShape(6, 32, 32, 10))
    alone = layers(built("models", backbone, InputShape(3, 32, 32, 10)))
    found = layers(network)
    assert list(found) == [name for name, _ in network.named_parameters()]
    if fusion == "channel":
        assert found.pop("fusion.weight") == 0
        assert found == {f"backbone.{name}": number + 1 for name, number in alone.items()}
        return
    head = max(alone.values())
    assert {found.pop("classifier.0.weight"), found.pop("classifier.0.bias")} == {head}
    count = 2 if fusion == "separate" else 1
    body = {name: number for name, number in alone.items() if number < head}
    assert found == {
        f"backbones.{index}.{name}": number
        for index in range(count)
        for name, number in body.items()
    }


def groups(grouping: Grouping, model: nn.Module) -> dict[str, tuple[float, float]]:
    """The learning rate and the weight decay of each parameter."""
    tree = {"name": "sgd", "lr": 0.1, "weight_decay": 0.01}
    optimizer = grouping.build(model, lambda params: built("optimizers", tree, params))
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {
        names[id(weight)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for weight in group["params"]
    }


def test_layers_near_the_image_learn_slower() -> None:
    found = groups(Grouping("all", 0.5), Net())
    assert found["conv1.weight"] == (pytest.approx(0.1 / 16), 0.01)
    assert found["layer2.0.bias"] == (pytest.approx(0.05), 0.01)
    assert found["fc.weight"] == (0.1, 0.01) and len(found) == 11


def test_norms_and_biases_do_not_decay() -> None:
    found = groups(Grouping("weights", 1.0), Net())
    bare = {name for name, (rate, decay) in found.items() if not decay}
    assert bare == {name for name in found if name.endswith("bias") or name == "bn1.weight"}
    assert {rate for rate, _ in found.values()} == {0.1}
    vit = groups(Grouping("weights"), built("models", "timm/test_vit", InputShape(3, 32, 32, 10)))
    assert vit["pos_embed"][1] == 0 and vit["blocks.0.attn.qkv.weight"][1] == 0.01


@pytest.mark.parametrize("optimizer", [{"name": "adamw", "lr": 0.1}, sam()])
def test_a_study_groups_and_schedules_them(tmp_path: Path, optimizer: dict[str, Any]) -> None:
    calls = Calls(tmp_path)
    rate = optimizer.get("lr", 0.3)
    model = lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(1, 4), nn.Linear(4, 2))  # noqa: E731
    [report] = calls(
        1, model=model, optimizer=optimizer, layer_decay=0.5, weight_decay_on="weights",
        lr_scheduler="constant",
    )  # fmt: skip
    rates = [group["lr"] for group in calls.made("optimizers").param_groups]
    assert rates == pytest.approx([rate / 2, rate / 2, rate, rate])
    assert report.metrics["lr"] == rate


def test_a_clone_with_other_groups_begins_without_a_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: Any = {"dataset": points, "model": network}
    parent = attempt(tmp_path / "parent", "sgd", 2, options=options)
    child = Calls(tmp_path / "child", number=1, parent=0, checkpoints=saved(parent))
    with caplog.at_level(logging.WARNING):
        child(3, optimizer={"name": "sgd", "lr": 0.1}, weight_decay_on="weights", **options)
    assert "in other groups" in caplog.text
    assert np.isfinite(child.reports[-1].metrics["train_loss"])
