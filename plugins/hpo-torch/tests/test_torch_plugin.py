"""Optimizers and LR schedulers: the contracts, and the formulas that their docstrings promise."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import ClassVar

import pytest
import torch

from hpo_core.testing.training import LrSchedulerContract, OptimizerContract, built, checked


class TestSgd(OptimizerContract):
    component = "sgd"

    def test_options_arrive(self) -> None:
        options = {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.1, "nesterov": True}
        optimizer = built("optimizers", {"name": "sgd", **options}, [torch.zeros(1)])
        assert {name: optimizer.defaults[name] for name in options} == options


class TestAdamw(OptimizerContract):
    component = "adamw"

    def test_options_arrive(self) -> None:
        options = {"lr": 0.02, "weight_decay": 0.1, "betas": [0.8, 0.9]}
        optimizer = built("optimizers", {"name": "adamw", **options}, [torch.zeros(1)])
        assert optimizer.defaults["betas"] == (0.8, 0.9)
        assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.02, 0.1)


class TestConstant(LrSchedulerContract):
    component = "constant"
    moves = False


class TestCosine(LrSchedulerContract):
    component = "cosine"

    def test_formula(self) -> None:
        for t, [rate] in enumerate(self.rates(40, 0.1)):
            assert rate == pytest.approx(0.05 * (1 + math.cos(math.pi * t / 40)))


class TestCosineWithFloor(LrSchedulerContract):
    component: ClassVar = {"name": "cosine", "min_ratio": 0.1}

    def test_ends_at_the_floor_of_each_group(self) -> None:
        assert self.rates(10, 0.1, 0.5)[-1] == pytest.approx([0.01, 0.05])


class TestOneCycle(LrSchedulerContract):
    component = "one-cycle"

    def test_rises_to_the_peak_and_falls_to_nothing(self) -> None:
        rates = [rate for [rate] in self.rates(99, 0.1)]
        assert rates[0] == pytest.approx(0.1 / 25)
        assert rates[29] == pytest.approx(0.1) == pytest.approx(max(rates))
        assert rates[99] == pytest.approx(0.1 / 25 / 1e4)

    def test_leaves_momentum_alone(self) -> None:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.3)
        built("lr_schedulers", "one-cycle", optimizer, 10)
        assert optimizer.param_groups[0]["momentum"] == 0.3


class TestOneCycleAtItsBounds(LrSchedulerContract):
    component: ClassVar = {
        "name": "one-cycle",
        "pct_start": 0.001,
        "div_factor": 2.0,
        "final_div_factor": 1,
    }


class TestOneCycleLatePeak(LrSchedulerContract):
    component: ClassVar = {"name": "one-cycle", "pct_start": 0.999}


class TestOneCycleQuarter(LrSchedulerContract):
    """pct_start 0.25 of 4 steps is a rise of no length in torch's own scheduler."""

    component: ClassVar = {"name": "one-cycle", "pct_start": 0.25}


class TestStep(LrSchedulerContract):
    component = "step"

    def test_formula(self) -> None:
        for t, [rate] in enumerate(self.rates(30, 0.1)):
            assert rate == pytest.approx(0.1 * 0.1 ** (t // 10))


class TestStepAtItsBound(LrSchedulerContract):
    component: ClassVar = {"name": "step", "every": 1.0, "gamma": 0.5}


def test_studies_are_checked_without_torch() -> None:
    code = (
        "import sys\n"
        "from hpo_core.testing.training import checked\n"
        "for name in ('sgd', 'adamw'): checked('optimizers', name)\n"
        "for name in ('constant', 'cosine', 'one-cycle', 'step'): checked('lr_schedulers', name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("kind", "tree"),
    [
        ("optimizers", {"name": "sgd", "lr": 0.0}),
        ("optimizers", {"name": "adamw", "betas": [0.9, 1.0]}),
        ("lr_schedulers", {"name": "step", "every": 1.5}),
        ("lr_schedulers", {"name": "cosine", "min_ratio": 1.0}),
    ],
)
def test_values_out_of_bounds_are_refused(kind: str, tree: dict[str, object]) -> None:
    with pytest.raises(AssertionError, match="Problem"):
        checked(kind, tree)
