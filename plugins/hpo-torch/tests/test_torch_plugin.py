"""Optimizers: the contract, and the options that arrive."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from hpo_core.testing.training import OptimizerContract, built, checked


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


def test_studies_are_checked_without_torch() -> None:
    code = (
        "import sys\n"
        "from hpo_core.testing.training import checked\n"
        "for name in ('sgd', 'adamw'): checked('optimizers', name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("kind", "tree"),
    [
        ("optimizers", {"name": "sgd", "lr": 0.0}),
        ("optimizers", {"name": "adamw", "betas": [0.9, 1.0]}),
    ],
)
def test_values_out_of_bounds_are_refused(kind: str, tree: dict[str, object]) -> None:
    with pytest.raises(AssertionError, match="Problem"):
        checked(kind, tree)
