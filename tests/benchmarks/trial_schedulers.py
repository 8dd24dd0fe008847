"""What trial schedulers save and lose on real curves: digits classifiers, trained to the end once (`record_curves.py`).

    uv run python tests/benchmarks/trial_schedulers.py [--seeds 20]

Every recorded configuration is proposed once, in an order that each seed shuffles, to four workers on a simulated
clock. Reported are the share of all epochs that was not trained, the validation accuracy lost against training
everything to the end (best of any epoch), and how often the best accuracy of all was found.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from simulated_clock import Simulation

from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.plugins import load
from hpo_core.retention import Keep
from hpo_core.spec import StudySpec
from hpo_core.storage.ledger import Ledger
from hpo_core.study import DrivenStudy

CURVES = Path(__file__).parent / "digit_curves.jsonl"

SCHEDULERS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "one-epoch-top-k": {"name": "one-epoch-top-k", "top": 3},
    "one-epoch-top-k, after 3 epochs": {"name": "one-epoch-top-k", "top": 3, "epochs": 3},
    "asha": {"name": "asha"},
    "asha, from 3 epochs": {"name": "asha", "min_epochs": 3},
    "asha-promotion": {"name": "asha-promotion"},
    "asha-promotion, from 3 epochs": {"name": "asha-promotion", "min_epochs": 3},
    "delayed-asha": {"name": "delayed-asha"},
    "pasha": {"name": "pasha"},
    "hyperband": {"name": "hyperband"},
    "hyperband, promotion": {"name": "hyperband", "variant": "promotion"},
    "bohb": {"name": "bohb"},
    "median": {"name": "median"},
    "percentile": {"name": "percentile", "keep": 30},
    "threshold: 0.9 by epoch 3": {"name": "threshold", "bound": 0.1, "epochs": 3},
    "patience": {"name": "patience", "epochs": 5},
    "any of median, patience": {
        "name": "any",
        "of": [{"name": "median"}, {"name": "patience", "epochs": 5}],
    },
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--curves", type=Path, default=CURVES)
    given = parser.parse_args()
    curves = [json.loads(line)["val_accuracy"] for line in given.curves.read_text().splitlines()]
    catalog, _ = load()
    best = max(map(max, curves))
    print(f"{len(curves)} configurations, {len(curves[0])} epochs each; best accuracy {best:.4f}\n")
    print("| trial scheduler | epochs saved | accuracy lost | best accuracy found |")
    print("|---|---|---|---|")
    for title, scheduler in SCHEDULERS.items():
        runs = [run(curves, scheduler, seed, catalog) for seed in range(given.seeds)]
        saved, lost, found = zip(*runs, strict=True)
        print(
            f"| {title} | {_mean(saved, 100, 1)} % | {_mean(lost, 1, 4)} | {statistics.fmean(found):.0%} |"
        )


def run(
    curves: list[list[float]], scheduler: dict[str, Any], seed: int, catalog: Catalog
) -> tuple[float, float, bool]:
    """The share of epochs saved, the accuracy lost, and whether the best accuracy was found."""
    study = _study(curves, scheduler, seed, catalog)
    seen: list[float] = []
    best = max(map(max, curves))

    def regret(loss: float) -> float:
        seen.append(1 - loss)
        return best - seen[-1]

    simulation = Simulation(
        study,
        lambda params: ([1 - accuracy for accuracy in curves[params["index"]]], 1.0),
        regret,
        float("inf"),
    )
    simulation.run()
    total = sum(map(len, curves))
    return 1 - len(seen) / total, best - max(seen), max(seen) == best


def _study(
    curves: list[list[float]], scheduler: dict[str, Any], seed: int, catalog: Catalog
) -> DrivenStudy:
    spec = StudySpec(
        study="recorded",
        metric="loss",
        goal="minimize",
        budget=Budget(trials=len(curves)),
        seed=seed,
        objective={
            "name": "recorded",
            "epochs": len(curves[0]),
            "index": {"int": [0, len(curves) - 1]},
        },
        sampler={"name": "grid", "points": len(curves), "shuffle": True},
        trial_scheduler=scheduler,
        executor={"name": "simulated"},
        trackers=(),
        storage="",
        directory="recorded",
        checkpoints=None,
        keep=Keep(),
        best_as=None,
        path=Path("recorded.yaml"),
    )
    ledger = Ledger(None, 0, spec.study, spec.goal, spec.metric)
    return DrivenStudy(spec, spec.budget, ledger, catalog, discard=lambda checkpoint: None)


def _mean(values: tuple[float, ...], scale: float, digits: int) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 * scale
    return f"{statistics.fmean(values) * scale:.{digits}f} ± {error:.{digits}f}"


if __name__ == "__main__":
    main()
