"""The benchmark of search quality runs, on a task whose figures can be worked out by hand."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo_core.catalog import Catalog
from hpo_core.plugins import load

BENCHMARKS = Path(__file__).parent / "benchmarks"
EPOCHS = 4


class Falling:
    """Every configuration begins with a loss of 1 and gets to 0 in equal steps; an epoch takes 10 s."""

    name = "taskset-falling"
    max_epoch = EPOCHS
    space = (SimpleNamespace(name="x", kind="float", low=0.1, high=1.0, log=True),)

    def curve(self, config: dict[str, float]) -> tuple[list[float], float]:
        assert 0.1 <= config["x"] <= 1.0
        return [1 - (epoch - 1) / (EPOCHS - 1) for epoch in range(1, EPOCHS + 1)], 10.0


TASKS = SimpleNamespace(
    load=lambda name: Falling(),
    REFERENCE={Falling.name: (0.0, 1.0)},
    FULL_COST={Falling.name: 10.0 * EPOCHS},
)


@pytest.fixture(scope="module")
def installed() -> Catalog:
    return load()[0]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield runpy.run_path(str(BENCHMARKS / "search_quality.py"))
    sys.modules.pop("simulated_clock", None)


def test_without_stopping_the_first_trial_has_it_all(
    benchmark: dict[str, Any], installed: Catalog
) -> None:
    run = benchmark["simulate"](TASKS, Falling.name, "random+none", 0, installed)
    assert run["final"] == 0
    # 20 s at 1 (nothing reported, then a loss of 1), 10 s at 2/3 and 10 s at 1/3, of 500 s
    assert run["anytime"] == pytest.approx((20 + 10 * 2 / 3 + 10 / 3) / 500)


def test_a_resumed_trial_pays_only_for_the_epochs_it_has_not_had(
    benchmark: dict[str, Any], installed: Catalog
) -> None:
    options = "asha-promotion:min_epochs=2,reduction_factor=4"
    run = benchmark["simulate"](TASKS, Falling.name, f"random+{options}", 0, installed)
    # four trials pause after 20 s at a loss of 2/3, and the best one goes on from there
    assert run["anytime"] == pytest.approx((20 + 10 * 2 / 3 + 10 / 3) / 500)


def test_the_table_has_a_line_for_each_combination(
    benchmark: dict[str, Any], installed: Catalog
) -> None:
    names = ["random+none", "random+asha"]
    simulate = benchmark["simulate"]
    runs = [
        simulate(TASKS, Falling.name, name, seed, installed) for name in names for seed in (0, 1)
    ]
    lines = list(benchmark["table"](runs, names))
    assert lines[2].startswith("| `random+none` | 2 | - / - | 0.000 ± 0.000 / ")
    assert len(lines) == 2 + len(names) + len(benchmark["PEERS"])
