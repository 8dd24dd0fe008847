"""The catalogue of LR schedulers: the contract for each, and each formula against torch's own class of that name."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from hpo_torch.lr_schedulers import catalogue
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

from hpo_core.options import options_of
from hpo_core.testing.training import LrSchedulerContract, built, checked, installed_catalog

NUMBERS = {number: name for names in catalogue.FAMILIES.values() for number, name in names.items()}
THE_35 = [number for number in sorted(NUMBERS) if number.startswith("A0_")]
# the smallest run in which each moves, where that is not one of a single step
MOVES_FROM = {
    "A0_031": 3,  # the first loss is the best one, the second is waited for
    "A0_032": 3,
    "A0_033": 3,
    "H040": 2,  # a run of one step has no warm-up
    "H049": 2,
    "H050": 2,
}

for number in NUMBERS:
    members: dict[str, Any] = {
        "component": number,
        "moves": number != "H041",
        "moves_from": MOVES_FROM.get(number, 1),
        "__module__": __name__,
    }
    globals()[f"Test{number}"] = type(f"Test{number}", (LrSchedulerContract,), members)


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


class TestOneCycleInThreePhases(LrSchedulerContract):
    component: ClassVar = {"name": "one-cycle", "pct_start": 0.4, "three_phase": True}


class TestStepAtItsBound(LrSchedulerContract):
    component: ClassVar = {"name": "step", "every": 1.0, "gamma": 0.5}


class TestSwaAtItsBounds(LrSchedulerContract):
    component: ClassVar = {"name": "swa-cosine", "swa_start": 0.999, "swa_ratio": 1, "anneal": 0.99}
    moves_from = 2  # the only step of a run of one has the rate that was asked for


def optimizer(rate: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.3)


def followed(scheduler: Any, own: torch.optim.Optimizer, steps: int) -> list[float]:
    """The rates of steps 0 to `steps` - 1."""
    judged = [1.0] if isinstance(scheduler, theirs.ReduceLROnPlateau) else []
    rates = []
    for _ in range(steps):
        rates.append(float(own.param_groups[0]["lr"]))
        own.step()
        scheduler.step(*judged)
    return rates


def rates(tree: Any, total: int) -> list[float]:
    own = optimizer()
    return followed(built("lr_schedulers", tree, own, total), own, total)


def test_the_35_are_pairwise_distinct_at_50_steps() -> None:
    curves = {number: rates(number, 50) for number in THE_35}
    assert len(THE_35) == 35
    alike = [
        (one, other)
        for one in THE_35
        for other in THE_35
        if one < other and curves[one] == pytest.approx(curves[other], rel=1e-3, abs=1e-4)
    ]
    assert not alike


@pytest.mark.parametrize("number", sorted(NUMBERS))
def test_number_and_name_are_the_same(number: str) -> None:
    catalog = installed_catalog()
    ours, named = (catalog.entry("lr_schedulers", n) for n in (number, NUMBERS[number]))
    assert ours.factory is named.factory
    assert f"({number}" in (ours.factory.__doc__ or "")


T = 100
TORCHS: dict[str, Callable[[Any], Any]] = {
    "A0_001": lambda o: theirs.StepLR(o, 33, 0.1),
    "A0_002": lambda o: theirs.MultiStepLR(o, [30, 60, 80], 0.1),
    "A0_003": lambda o: theirs.ExponentialLR(o, 0.01 ** (1 / (T - 1))),
    "A0_004": lambda o: theirs.PolynomialLR(o, T, 2),
    "A0_005": lambda o: theirs.PolynomialLR(o, T, 3),
    "A0_006": lambda o: theirs.CosineAnnealingLR(o, T),
    "A0_007": lambda o: theirs.CosineAnnealingLR(o, T, 0.01),
    "A0_008": lambda o: theirs.CosineAnnealingWarmRestarts(o, 10, 2),
    "A0_009": lambda o: theirs.CosineAnnealingWarmRestarts(o, 34, 1),
    "A0_010": lambda o: theirs.CyclicLR(o, 0.1, 1, 25, cycle_momentum=False),
    "A0_011": lambda o: theirs.CyclicLR(o, 0.1, 1, 12, mode="triangular2", cycle_momentum=False),
    "A0_012": lambda o: theirs.CyclicLR(
        o, 0.1, 1, 25, mode="exp_range", gamma=0.1 ** (1 / T), cycle_momentum=False
    ),
    "A0_013": lambda o: theirs.OneCycleLR(o, 1, T + 1, cycle_momentum=False),
    "A0_014": lambda o: theirs.OneCycleLR(
        o, 1, T + 1, None, None, 0.1, "linear", False, div_factor=10
    ),
    "A0_015": lambda o: theirs.LinearLR(o, 0.1, 1, 20),
    "A0_016": lambda o: theirs.ConstantLR(o, 0.5, 20),
    "A0_017": lambda o: theirs.LambdaLR(o, lambda t: max(0.1, 1 - t / T)),
    "A0_018": lambda o: theirs.PolynomialLR(o, T, 1.5),
    "A0_019": lambda o: theirs.MultiplicativeLR(o, lambda t: 0.1 ** (1 / T)),
    "A0_020": lambda o: theirs.ChainedScheduler(
        [theirs.LinearLR(o, 0.1, 1, 10), theirs.CosineAnnealingLR(o, T)]
    ),
    "A0_021": lambda o: theirs.SequentialLR(
        o, [theirs.LinearLR(o, 0.1, 1, 10), theirs.StepLR(o, 31, 0.1)], [10]
    ),
    "A0_022": lambda o: theirs.LambdaLR(o, lambda t: max(0.05, math.exp(-4 * t / T))),
    "A0_023": lambda o: theirs.LambdaLR(o, lambda t: ((1 + math.cos(math.pi * t / T)) / 2) ** 2),
    "A0_024": lambda o: theirs.StepLR(o, 50, 0.1),
    "A0_025": lambda o: theirs.MultiStepLR(o, [25, 50, 75, 90], 0.3),
    "A0_026": lambda o: theirs.CosineAnnealingLR(o, T, 0.1),
    "A0_027": lambda o: theirs.OneCycleLR(o, 1, T + 1, None, None, 0.3, "linear", False),
    "A0_028": lambda o: theirs.CyclicLR(o, 0.1, 1, 5, cycle_momentum=False),
    "A0_029": lambda o: theirs.PolynomialLR(o, T, 4),
    "A0_030": lambda o: theirs.LambdaLR(o, lambda t: 1 if t < 70 else 0.1),
    "A0_031": lambda o: theirs.ReduceLROnPlateau(o, "min", 0.1, 10, eps=0),
    "A0_032": lambda o: theirs.ReduceLROnPlateau(o, "min", 0.1, 20, eps=0),
    "A0_033": lambda o: theirs.ReduceLROnPlateau(o, "min", 0.5, 5, eps=0),
}


@pytest.mark.parametrize("number", TORCHS)
def test_formula_is_that_of_torchs_class(number: str) -> None:
    other = optimizer()
    assert rates(number, T) == pytest.approx(followed(TORCHS[number](other), other, T), abs=1e-9)


@pytest.mark.parametrize(
    ("number", "strategy", "before"),
    [
        ("A0_034", "cos", lambda t: (1 + math.cos(math.pi * t / T)) / 2),
        ("A0_035", "linear", lambda t: 1 - 0.9 * t / T),
    ],
)
def test_averaging_goes_over_as_torchs(number: str, strategy: Any, before: Any) -> None:
    own, other = optimizer(), optimizer(before(75))
    ours = built("lr_schedulers", number, own, T)
    assert ours.average_from == 75
    followed_ours = followed(ours, own, T)
    after = followed(SWALR(other, 0.5, 5, strategy), other, 25)
    assert followed_ours == pytest.approx([before(t) for t in range(75)] + after)


def test_transformers_agrees() -> None:
    transformers = pytest.importorskip("transformers")
    known: dict[str, tuple[str, dict[str, Any]]] = {
        "H036": ("linear", {}),
        "H037": ("cosine", {}),
        "H038": ("cosine_with_restarts", {"num_cycles": 1}),
        "H039": ("polynomial", {"power": 2.0, "lr_end": 0.0}),
        "H040": ("constant_with_warmup", {}),
        "H042": ("inverse_sqrt", {}),
        "H043": ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
        "H045": ("cosine_with_restarts", {"num_cycles": 2}),
        "H046": ("cosine_with_restarts", {"num_cycles": 3}),
        "H047": ("polynomial", {"power": 1.0, "lr_end": 0.01}),
        "H048": ("polynomial", {"power": 3.0, "lr_end": 0.0}),
    }
    for number, (name, options) in known.items():
        other = optimizer()
        scheduler = transformers.get_scheduler(name, other, 10, T, options)
        assert rates(number, T) == pytest.approx(followed(scheduler, other, T)), number


def test_restarts_never_last_a_single_step() -> None:
    assert rates("cosine-restarts", 2) == pytest.approx([1, 0.5])


def test_milestones_may_come_in_any_order() -> None:
    tree = {"name": "multi-step", "first": 0.9, "second": 0.2, "third": 0.5}
    ordered = {"name": "multi-step", "first": 0.2, "second": 0.5, "third": 0.9}
    assert rates(tree, 50) == rates(ordered, 50)


def test_momentum_is_left_alone() -> None:
    for number in THE_35:
        own = optimizer()
        followed(built("lr_schedulers", number, own, 10), own, 10)
        assert own.param_groups[0]["momentum"] == 0.3


def test_three_phases_need_an_early_peak() -> None:
    tree = {"name": "one-cycle", "three_phase": True, "pct_start": 0.5}
    with pytest.raises(ValueError, match=r"below 0\.5"):
        rates(tree, 10)


def test_a_plateau_is_judged_by_its_loss() -> None:
    own = optimizer()
    scheduler = built("lr_schedulers", {"name": "plateau", "patience": 0.2}, own, 10)
    seen = []
    for loss in (1.0, 0.5, 0.6, 0.6, 0.4, 0.4, 0.4, 0.4):
        own.step()
        scheduler.step(loss)
        seen.append(own.param_groups[0]["lr"])
    assert seen == pytest.approx([1.0] * 7 + [0.1])


@pytest.mark.parametrize("number", sorted(NUMBERS))
def test_every_suggested_range_can_be_searched(number: str) -> None:
    from hpo_core.checking import Checker

    checker = Checker(installed_catalog())
    options = options_of(installed_catalog().entry("lr_schedulers", number).factory)
    ranges = [option.name for option in options.values() if option.range is not None]
    full = checker.component("lr_schedulers", {"name": number, "search": True}, (), searchable=True)
    if not ranges:
        assert "suggests no range" in checker.problems[0][1].message
        return
    assert not checker.problems
    assert [name for name, tree in full.items() if isinstance(tree, dict)] == ranges


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("number", THE_35)
def test_the_ends_of_the_ranges_work(number: str, end: int) -> None:
    from hpo_core.space import Choice

    options = options_of(installed_catalog().entry("lr_schedulers", number).factory).values()
    tree: dict[str, Any] = {"name": number}
    for option in options:
        if isinstance(option.range, Choice):
            tree[option.name] = option.range.alternatives[end]
        elif option.range is not None:
            tree[option.name] = (option.range.low, option.range.high)[end]
    for total in (1, 2, 7, 50):
        assert all(math.isfinite(rate) and 0 <= rate <= 1 for rate in rates(tree, total))


def test_names_are_checked_without_torch() -> None:
    code = (
        "import sys\n"
        "from hpo_core.testing.training import checked\n"
        "from hpo_torch.lr_schedulers.catalogue import offers\n"
        "for name, _ in offers(): checked('lr_schedulers', name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "tree", [{"name": "step", "every": 1.5}, {"name": "cosine", "min_ratio": 1.0}]
)
def test_values_out_of_bounds_are_refused(tree: dict[str, object]) -> None:
    with pytest.raises(AssertionError, match="Problem"):
        checked("lr_schedulers", tree)
