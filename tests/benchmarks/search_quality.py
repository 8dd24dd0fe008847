"""How well samplers and trial schedulers search, on learning-curve tasks and a simulated clock.

    uv run --with onnxruntime python tests/benchmarks/search_quality.py --tasks FOLDER [--seeds 10] [--save FILE]
        [--combinations random+asha tpe:multivariate=false+bohb:brackets=1 ...] [--only lcbench]

FOLDER holds `tasks.py`: six tasks in two families, each with a space, a maximum epoch and the curve of any
configuration. Four asynchronous workers run on a simulated clock: an epoch takes what the task says, deciding takes
nothing, every epoch is reported, and a trial that is resumed pays only for the epochs that it has not had. The budget
is the wall time of 50 mean full runs. Everything else is real: the study, its ledger (in memory), the samplers and the
trial schedulers of the catalog.

Regret is (incumbent - best) / (median - best), at most 1, the incumbent being the least loss reported so far. `final`
is at the end of the budget, `anytime` the mean over its time. The thinking time is the CPU time of `ask`, `report` and
`finish` for each attempt. With `--save` every run is appended to a file, and one that is there is not run again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulated_clock import WORKERS, Simulation

from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.plugins import load
from hpo_core.retention import Keep
from hpo_core.spec import StudySpec
from hpo_core.storage.ledger import Ledger
from hpo_core.study import DrivenStudy

FULL_RUNS = 50

COMBINATIONS = [
    "ranked-gp+delayed-asha",
    "random+delayed-asha",
    "ranked-gp+asha:min_epochs=2,reduction_factor=4",
    "random+asha:reduction_factor=4",
    "random+asha-promotion:min_epochs=2,reduction_factor=4",
    "tpe+bohb:variant=promotion,min_epochs=2,reduction_factor=4,brackets=1",
]

# `final / anytime` of LCBench and of TaskSet, anytime of all, ms a job; by the same protocol
PEERS = [
    ("SMAC3 multi-fidelity", ".036 / .131", ".150 / .246", ".188 ± .026", "74"),
    ("MOBSTER (Syne Tune 0.13)", ".043 / .066", ".201 / .323", ".194 ± .035", "69"),
    ("random + Optuna successive halving", ".127 / .170", ".119 / .275", ".222 ± .013", "< 1"),
    ("Syne Tune ASHA", ".122 / .165", ".158 / .316", ".240 ± .020", "< 1"),
    ("DEHB", ".104 / .152", ".215 / .343", ".248 ± .016", "< 1"),
    ("Optuna TPE univariate + Hyperband", ".058 / .141", ".210 / .368", ".255 ± .015", "4-18"),
    ("Syne Tune BOHB", ".157 / .182", ".373 / .431", ".307 ± .029", ""),
    ("Optuna GP, no stopping", ".001 / .136", ".313 / .491", ".314 ± .029", "144"),
    ("Optuna TPE, no stopping", ".108 / .219", ".289 / .433", ".326 ± .026", "4-18"),
    ("random, no stopping", ".190 / .249", ".325 / .448", ".348 ± .026", ""),
    ("Optuna TPE + successive halving", ".221 / .271", ".604 / .625", ".448 ± .055", ""),
]


def simulate(
    tasks: Any, name: str, combination: str, seed: int, catalog: Catalog
) -> dict[str, Any]:
    """One run: its final and anytime regret, and the milliseconds of thinking for each job."""
    task = tasks.load(name)
    best, median = tasks.REFERENCE[name]
    full = tasks.FULL_COST.get(name, task.max_epoch)
    simulation = Simulation(
        new_study(task, combination, seed, catalog),
        task.curve,
        lambda loss: (loss - best) / (median - best),
        FULL_RUNS * full / WORKERS,
    )
    simulation.run()
    return {
        "task": name,
        "combination": combination,
        "seed": seed,
        "final": simulation.incumbent,
        "anytime": simulation.area / simulation.limit,
        "thinking": 1000 * simulation.thought / simulation.asked,
    }


def new_study(task: Any, combination: str, seed: int, catalog: Catalog) -> DrivenStudy:
    """A study of a task in memory, without end."""
    sampler, scheduler = (component(part) for part in combination.split("+"))
    space = {
        each.name: {each.kind: [each.low, each.high], **({"log": True} if each.log else {})}
        for each in task.space
    }
    spec = StudySpec(
        study=task.name,
        metric="loss",
        goal="minimize",
        budget=Budget(),
        seed=seed,
        objective={"name": "simulated", "epochs": task.max_epoch, **space},
        sampler=sampler,
        trial_scheduler=scheduler,
        executor={"name": "simulated"},
        trackers=(),
        storage="",
        directory="simulated",
        checkpoints=None,
        keep=Keep(),
        best_as=None,
        path=Path("simulated.yaml"),
    )
    ledger = Ledger(None, 0, spec.study, spec.goal, spec.metric)
    return DrivenStudy(spec, spec.budget, ledger, catalog, discard=lambda checkpoint: None)


def component(text: str) -> dict[str, Any]:
    """`asha:min_epochs=2,reduction_factor=4` as a study file has it."""
    name, _, given = text.partition(":")
    pairs = (pair.split("=") for pair in given.split(",") if pair)
    return {"name": name} | {key: _value(value) for key, value in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def table(runs: list[dict[str, Any]], combinations: list[str]) -> Iterator[str]:
    """Markdown: a line for each combination, then the peers' figures."""
    yield "| combination | seeds | LCBench final / anytime | TaskSet final / anytime | all anytime | ms per job |"
    yield "|---|---|---|---|---|---|"
    for combination in combinations:
        mine = [run for run in runs if run["combination"] == combination]
        seeds = len({run["seed"] for run in mine})
        families = [
            " / ".join(mean(_family(mine, family), key) for key in ("final", "anytime"))
            for family in ("lcbench", "taskset")
        ]
        thinking = statistics.fmean(run["thinking"] for run in mine)
        cells = [f"`{combination}`", seeds, *families, mean(mine, "anytime"), f"{thinking:.1f}"]
        yield "| " + " | ".join(map(str, cells)) + " |"
    for name, *figures in PEERS:
        yield "| " + " | ".join([name, "", *figures]) + " |"


def _family(runs: list[dict[str, Any]], family: str) -> list[dict[str, Any]]:
    return [run for run in runs if run["task"].startswith(family)]


def mean(runs: list[dict[str, Any]], key: str) -> str:
    """The mean over tasks and seeds; the standard error is that of the seeds' means over the tasks."""
    seeds = sorted({run["seed"] for run in runs})
    each = [statistics.fmean(run[key] for run in runs if run["seed"] == seed) for seed in seeds]
    if not each:
        return "-"
    error = statistics.stdev(each) / len(each) ** 0.5 if len(each) > 1 else float("nan")
    return f"{statistics.fmean(each):.3f} ± {error:.3f}"


def saved_runs(path: Path | None) -> list[dict[str, Any]]:
    """The runs that a file holds."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=Path, required=True, help="folder with tasks.py")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--combinations", nargs="*", default=COMBINATIONS)
    parser.add_argument("--only", default="", help="only tasks whose names begin like this")
    parser.add_argument("--save", type=Path, help="file of runs, one as JSON a line")
    given = parser.parse_args()
    sys.path.insert(0, str(given.tasks))
    sys.dont_write_bytecode = True
    tasks = importlib.import_module("tasks")
    catalog, _ = load()
    runs = saved_runs(given.save)
    there = {(run["task"], run["combination"], run["seed"]) for run in runs}
    for seed in range(given.seeds):
        for combination in given.combinations:
            for name in tasks.REFERENCE:
                if (name, combination, seed) in there or not name.startswith(given.only):
                    continue
                run = simulate(tasks, name, combination, seed, catalog)
                runs.append(run)
                print(f"{run['anytime']:.3f} {name} seed {seed} {combination}", file=sys.stderr)
                if given.save is not None:
                    with given.save.open("a") as file:
                        file.write(json.dumps(run) + "\n")
    wanted = [
        run for run in runs if run["seed"] < given.seeds and run["task"].startswith(given.only)
    ]
    print("\n".join(table(wanted, given.combinations)))


if __name__ == "__main__":
    main()
