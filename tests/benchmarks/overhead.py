"""Trials a second with an objective that does nothing, beside Optuna alone, in one run on the same kind of storage.

    uv run python tests/benchmarks/overhead.py [--trials 1000]

Both: 5 float parameters, 10 reports a trial, random sampling, SQLite on disk. The storage's address is the same for
both, so Optuna is measured as people run it, and once more on a file that is in WAL mode already.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from pathlib import Path

import optuna

from hpo_core import Run, plugins, runner
from hpo_core.spec import check
from hpo_core.yaml_source import parse

NAMES = "abcde"
REPORTS = 10

STUDY = """
study: overhead
metric: {{name: loss, goal: minimize}}
budget: {{trials: {trials}}}
objective:
  name: python
  call: overhead:nothing
  arguments: {{{arguments}}}
sampler: random
executor: {executor}
storage: sqlite:///{folder}/hpo.db
directory: {folder}
"""


def nothing(run: Run, **parameters: float) -> None:
    """Report ten times."""
    for step in range(1, REPORTS + 1):
        run.report(step, {"loss": parameters["a"]})


def optuna_objective(trial: optuna.Trial) -> float:
    """The same for Optuna."""
    values = [trial.suggest_float(name, 0.0, 1.0) for name in NAMES]
    for step in range(1, REPORTS + 1):
        trial.report(values[0], step)
    return values[0]


def ours(folder: Path, trials: int, executor: str) -> float:
    """Seconds for a whole study, opening and closing included."""
    arguments = ", ".join(f"{name}: {{float: [0, 1]}}" for name in NAMES)
    text = STUDY.format(trials=trials, arguments=arguments, folder=folder, executor=executor)
    catalog, _ = plugins.load()
    spec = check(parse(text, "overhead.yaml"), catalog, Path(__file__).parent / "overhead.yaml")
    start = time.perf_counter()
    runner.run(spec, catalog, [], runner.Wishes(allow_code=True))
    return time.perf_counter() - start


def theirs(folder: Path, trials: int, *, wal: bool) -> float:
    """Seconds that `study.optimize` takes."""
    path = folder / "optuna.db"
    if wal:
        sqlite3.connect(path).execute("PRAGMA journal_mode=WAL")
    start = time.perf_counter()
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=f"sqlite:///{path}", sampler=sampler)
    study.optimize(optuna_objective, n_trials=trials)
    return time.perf_counter() - start


def main() -> None:
    """Print milliseconds a trial and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seconds: dict[str, float] = {}
    for name, measure in {
        "hpo inline": lambda folder: ours(folder, trials, "inline"),
        "hpo processes": lambda folder: ours(folder, trials, "{name: processes, workers: 2}"),
        "optuna": lambda folder: theirs(folder, trials, wal=False),
        "optuna, WAL": lambda folder: theirs(folder, trials, wal=True),
    }.items():
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            seconds[name] = measure(Path(folder))
        print(f"{name:14} {seconds[name] / trials * 1e3:7.2f} ms a trial", flush=True)
    for name in ("hpo inline", "hpo processes"):
        print(f"{name} runs {seconds['optuna'] / seconds[name]:.1f} times as many trials a second")


if __name__ == "__main__":
    main()
