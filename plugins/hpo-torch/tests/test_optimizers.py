"""Optimizers by name: each makes a step, goes on from its state, and has the options that its class has."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from typing import Any, ClassVar

import pytest
import torch
from hpo_torch import named_optimizers, optimizer_index
from hpo_torch.named_optimizers import INDEX, index
from torch import Tensor, nn

from hpo_core import Float, PluginError, plugins
from hpo_core.options import options_of
from hpo_core.testing.training import (
    OptimizerContract,
    assert_storable,
    built,
    checked,
    installed_catalog,
)

IMAGES = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(6) % 3


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 3)
    )


class Training:
    """An optimizer on a network, stepped as an objective does it, with what does not decay in a group of its own."""

    def __init__(self, component: Any) -> None:
        self.network = network()
        weights = list(self.network.parameters())
        groups = [
            {"params": [weight for weight in weights if weight.ndim > 1]},
            {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = built("optimizers", component, groups)
        self.seen: list[list[Tensor]] = []

    def weights(self) -> list[Tensor]:
        return [weight.detach().clone() for weight in self.network.parameters()]

    def gradients(self) -> Tensor:
        self.seen.append(self.weights())
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.network(IMAGES), LABELS)
        loss.backward()
        return loss

    def step(self) -> float:
        return float(self.optimizer.step(self.gradients).detach())


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("name", index())
def test_steps_and_continues_from_its_state(name: str) -> None:
    training = Training(name)
    begin = training.weights()
    for _ in range(6):  # some warm up first
        assert training.step() > 0
        if not same(begin, training.weights()):
            break
    assert not same(begin, training.weights())
    assert all(torch.isfinite(weight).all() for weight in training.weights())
    state = copy.deepcopy(training.optimizer.state_dict())
    assert_storable(state, "state")
    resumed = Training(name)
    resumed.network.load_state_dict(copy.deepcopy(training.network.state_dict()))
    resumed.optimizer.load_state_dict(state)
    for each in (training, resumed):
        torch.manual_seed(2)
        each.step()
    assert same(training.weights(), resumed.weights())


def test_the_index_is_that_of_the_installed_libraries() -> None:
    assert INDEX.read_text(encoding="utf-8") == optimizer_index.text(), (
        "run python -m hpo_torch.optimizer_index"
    )


def test_every_optimizer_is_offered_or_left_out_for_a_reason() -> None:
    import pytorch_optimizer.optimizer
    import timm.optim

    offered = set(installed_catalog().names("optimizers"))
    for name in timm.optim.list_optimizers():
        assert (f"timm/{name}" in offered) is (f"timm:{name}" not in optimizer_index.LEFT_OUT)
    for name in pytorch_optimizer.optimizer.OPTIMIZERS:
        here = {name, f"pytorch-optimizer/{name}"} & offered
        assert here or f"pytorch_optimizer:{name}" in optimizer_index.LEFT_OUT
    public = {name for name in torch.optim.__all__ if name[0].isupper() and name != "Optimizer"}
    for name in public:
        assert name.lower() in offered or f"torch:{name}" in optimizer_index.LEFT_OUT
    assert len(offered) > 180


@pytest.mark.parametrize("name", ["lion", "timm/lion", "ranger", "ranger21", "sgd", "adamw"])
def test_options_have_bounds_and_a_range(name: str) -> None:
    options = options_of(installed_catalog().entry("optimizers", name).factory)
    assert isinstance(options["lr"].range, Float) and options["lr"].range.log
    assert all(option.description for option in options.values())
    for tree in ({"lr": 0.0}, {"lr": 101.0}, {"weight_decay": -1e-9}, {"learning_rate": 0.1}):
        with pytest.raises(AssertionError, match="Problem"):
            checked("optimizers", {"name": name, **tree})


def test_options_arrive() -> None:
    weight = [nn.Parameter(torch.zeros(2))]
    lion = built("optimizers", {"name": "lion", "lr": 0.02, "betas": [0.5, 0.6]}, weight)
    assert (lion.defaults["lr"], lion.defaults["betas"]) == (0.02, (0.5, 0.6))
    lamb = built("optimizers", {"name": "timm/lamb", "trust_clip": True}, weight)
    assert lamb.defaults["trust_clip"] is True
    assert built("optimizers", "timm/clion", weight).defaults["caution"] is True
    assert built("optimizers", "timm/sgd", weight).defaults["momentum"] == 0.9


def test_ranger21_leaves_the_rate_to_the_lr_scheduler() -> None:
    training = Training({"name": "ranger21", "lr": 0.1})
    for group in training.optimizer.param_groups:
        group["lr"] = 0.0
    before = training.weights()
    training.step()
    assert same(before, training.weights())


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        named_optimizers, "find_spec", lambda name: None if name == "timm" else found(name)
    )
    entry = plugins.load()[0].entry("optimizers", "timm/lion")
    with pytest.raises(PluginError, match=r"'timm/lion'.* timm.* not installed: pip install timm"):
        entry.factory  # noqa: B018  # resolving it is what is tested


def test_studies_are_checked_without_the_libraries() -> None:
    code = (
        "import sys\n"
        "from hpo_core.testing.training import checked\n"
        "for name in ('sam', 'lion', 'timm/lion', 'ranger21'): checked('optimizers', name)\n"
        "for name in ('focal', 'ldam', 'composite'): checked('losses', name)\n"
        "assert not {'torch', 'timm', 'pytorch_optimizer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---- sharpness-aware ----


class TestSam(OptimizerContract):
    component: ClassVar = {"name": "sam", "base": {"name": "sgd", "lr": 0.05}}


class TestAdaptiveSam(OptimizerContract):
    component: ClassVar = {"name": "sam", "base": {"name": "adamw", "lr": 0.1}, "adaptive": True}


class TestLookSam(OptimizerContract):
    component: ClassVar = {"name": "looksam", "base": {"name": "sgd", "lr": 0.05}, "k": 3}


class TestFriendlySam(OptimizerContract):
    component: ClassVar = {"name": "friendlysam", "base": {"name": "sgd", "lr": 0.05}}


class TestWsam(OptimizerContract):
    component: ClassVar = {"name": "wsam", "base": {"name": "sgd", "lr": 0.05}}


PLAIN = {"name": "sgd", "lr": 0.1, "momentum": 0.0}


def gradient_at(weights: list[Tensor]) -> list[Tensor]:
    other = network()
    with torch.no_grad():
        for weight, value in zip(other.parameters(), weights, strict=True):
            weight.copy_(value)
    loss = nn.functional.cross_entropy(other(IMAGES), LABELS)
    return list(torch.autograd.grad(loss, list(other.parameters())))


def norm(tensors: list[Tensor]) -> Tensor:
    return torch.stack([tensor.norm() for tensor in tensors]).norm()


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_steps_with_the_gradient_found_uphill(adaptive: bool) -> None:
    training = Training({"name": "sam", "base": PLAIN, "rho": 0.3, "adaptive": adaptive})
    before = training.weights()
    training.step()
    gradient = gradient_at(before)
    scales = [weight.abs() if adaptive else torch.ones_like(weight) for weight in before]
    length = norm([scale * each for scale, each in zip(scales, gradient, strict=True)])
    uphill = [
        weight + 0.3 * scale**2 * each / length
        for weight, scale, each in zip(before, scales, gradient, strict=True)
    ]
    assert same(training.seen[0], before) and len(training.seen) == 2
    torch.testing.assert_close(training.seen[1], uphill)
    wanted = [weight - 0.1 * each for weight, each in zip(before, gradient_at(uphill), strict=True)]
    torch.testing.assert_close(training.weights(), wanted)


def test_sam_with_no_radius_is_its_base() -> None:
    sharp, plain = Training({"name": "sam", "base": PLAIN, "rho": 0.0}), Training(PLAIN)
    for _ in range(3):
        sharp.step()
        plain.step()
    torch.testing.assert_close(sharp.weights(), plain.weights())


def test_looksam_looks_in_each_kth_step_only() -> None:
    training = Training({"name": "looksam", "base": PLAIN, "k": 3})
    passes = []
    for _ in range(7):
        training.seen.clear()
        training.step()
        passes.append(len(training.seen))
    assert passes == [2, 1, 1, 2, 1, 1, 2]


@pytest.mark.parametrize("name", ["sam", "looksam", "friendlysam", "wsam"])
def test_the_first_loss_is_returned_and_a_closure_is_needed(name: str) -> None:
    training = Training({"name": name, "base": PLAIN, "rho": 0.5})
    clean = nn.functional.cross_entropy(network()(IMAGES), LABELS).item()
    assert training.step() == pytest.approx(clean)
    with pytest.raises(TypeError, match="needs a closure"):
        training.optimizer.step()
    assert training.optimizer.needs_closure


@pytest.mark.parametrize("name", ["sam", "looksam", "friendlysam", "wsam"])
def test_an_lr_scheduler_sets_the_rate_of_the_base(name: str) -> None:
    training = Training({"name": name, "base": PLAIN})
    torch.optim.lr_scheduler.LambdaLR(training.optimizer, lambda step: 0.0)
    before = training.weights()
    training.step()
    torch.testing.assert_close(training.weights(), before)  # back from uphill, but for rounding


def test_the_base_may_be_searched() -> None:
    from hpo_core.checking import Checker

    checker = Checker(installed_catalog())
    tree: Any = {
        "name": "sam",
        "base": {"choice": ["sgd", {"name": "lion", "lr": {"float": [1e-4, 1e-2]}}]},
    }
    checker.component("optimizers", {"choice": ["adamw", tree]}, (), searchable=True)
    assert not checker.problems
