"""Population based training beside random search with as many epochs, on real handwritten digits.

    uv run python tests/benchmarks/population.py [--seeds 5] [--population 8] [--epochs 16]

Both study the same space with the same seed, so the first trials of the random search are the population's initial
configurations, trained to the end as they are: the best of these is what PBT has to improve on. The random search then
goes on until it has used the epochs that PBT used. Reported are mean and standard error over the seeds, of the best
value and of the differences within a seed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from hpo_core import plugins, runner
from hpo_core.catalog import Catalog
from hpo_core.spec import check, read
from hpo_core.storage import database, reading, studies

STUDY = """\
study: {name}
metric: {{name: val_loss, goal: minimize}}
budget: {budget}
seed: {seed}
objective:
  name: image-classification
  epochs: {epochs}
  dataset: {{name: digits, image_size: 16, batch_size: 64}}
  model: {{name: timm/test_resnet}}
  optimizer: {{name: sgd, lr: {{float: [1.0e-4, 1.0], log: true}}, momentum: {{float: [0.0, 0.95]}},
              weight_decay: {{float: [1.0e-6, 1.0e-1], log: true}}}}
  lr_scheduler: {{name: constant}}
sampler: {{name: random}}
trial_scheduler: {scheduler}
executor: {{name: inline}}
storage: sqlite:///{root}/hpo.db
directory: {root}
"""


def main() -> None:
    """Run both for each seed and compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--interval", type=int, default=2)
    given = parser.parse_args()
    catalog, _ = plugins.load()
    found = []
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(_seed(catalog, Path(folder), seed, given))
        initial, random, pbt, used = found[-1]
        print(
            f"seed {seed}: {used} epochs; initial {initial:.4f}, random {random:.4f}, pbt {pbt:.4f}",
            flush=True,
        )
    initials, randoms, pbts, _ = zip(*found, strict=True)
    for name, values in (("initial", initials), ("random", randoms), ("pbt", pbts)):
        print(f"{name:8} {_mean(list(values))}")
    for name, values in (("initial", initials), ("random", randoms)):
        gains = [other - pbt for other, pbt in zip(values, pbts, strict=True)]
        print(f"pbt is better than {name} by {_mean(gains)}")


def _mean(values: list[float]) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.4f} ± {error:.4f}"


def _seed(
    catalog: Catalog, folder: Path, seed: int, given: argparse.Namespace
) -> tuple[float, float, float, int]:
    """The best value of the initial configurations, of random search and of PBT, and the epochs that PBT used."""
    population, epochs = given.population, given.epochs
    common = {"seed": str(seed), "epochs": str(epochs), "root": str(folder)}
    scheduler = (
        f"{{name: pbt, population: {population}, interval: {given.interval}, keep: [epochs]}}"
    )
    budget = f"{{trials: {population * epochs}}}"
    pbt, used = _run(catalog, folder, name="pbt", scheduler=scheduler, budget=budget, **common)
    budget = f"{{epochs: {used}}}"
    random, _ = _run(
        catalog, folder, name="random", scheduler="{name: none}", budget=budget, **common
    )
    best = {value for number, value in random.items() if number < population}
    return min(best), min(random.values()), min(pbt.values()), used


def _run(catalog: Catalog, folder: Path, **fields: str) -> tuple[dict[int, float], int]:
    """Run a study; the values of its trials by number, and the epochs that it used."""
    file = folder / f"{fields['name']}.yaml"
    file.write_text(STUDY.format(**fields))
    spec = check(read(file, []), catalog, file)
    runner.run(spec, catalog, [])
    engine = database.open_existing(spec.storage)
    record = studies.find(engine, spec.study)
    assert record is not None
    trials = reading.trials(engine, record)
    last = [event for event in reading.events(engine, record) if event.kind == "study_finished"]
    engine.dispose()
    values = {trial.number: trial.value for trial in trials if trial.value is not None}
    return values, last[-1].data["epochs"]


if __name__ == "__main__":
    main()
