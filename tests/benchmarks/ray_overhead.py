"""Trials a second on a running Ray cluster with an objective that does nothing, beside Ray Tune, in one run.

    uv run python tests/benchmarks/ray_overhead.py [--ours 400] [--reused 100] [--stock 12]

All: one float parameter, random sampling, 10 reports a trial, 2 slots of one core each. Ours is a whole study: the
database on disk, every report durable before it is answered. Ray Tune's trials run as its documentation says (`stock`:
OptunaSearch, no more) and with `reuse_actors`, both without its files for every trial. The cluster's start is reported
apart. Each figure is what a whole run took, its own start included, and what it took from the end of its first trial to
the end of its last: the trials themselves.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpo_ray import cluster

from hpo_core import Event, Run, plugins, runner
from hpo_core.spec import check
from hpo_core.yaml_source import parse

REPORTS = 10
SLOTS = 2

STUDY = """
study: overhead
metric: {{name: loss, goal: minimize}}
budget: {{trials: {trials}}}
objective: {{name: python, call: "ray_overhead:nothing", arguments: {{x: {{float: [0, 1]}}}}}}
sampler: random
executor: {{name: {name}, workers: {slots}}}
storage: sqlite:///{folder}/hpo.db
directory: {folder}
"""

Ends = list[float]


def nothing(run: Run, x: float) -> None:
    """Report ten times."""
    for step in range(1, REPORTS + 1):
        run.report(step, {"loss": x})


def tuned(config: dict[str, float]) -> None:
    """The same for Ray Tune."""
    from ray import tune

    for _ in range(REPORTS):
        tune.report({"loss": config["x"]})


def ours(trials: int, ends: Ends, name: str = "ray") -> None:
    """A study from its opening to its close."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        text = STUDY.format(trials=trials, folder=folder, slots=SLOTS, name=name)
        catalog, _ = plugins.load()
        spec = check(parse(text, "overhead.yaml"), catalog, Path(__file__).with_suffix(".yaml"))

        def watch(event: Event) -> None:
            if event.kind == "trial_finished":
                ends.append(time.perf_counter())

        runner.run(spec, catalog, [watch], runner.Wishes(allow_code=True))


def theirs(trials: int, ends: Ends, **options: Any) -> None:
    """`Tuner.fit`."""
    from ray import tune

    class Watch(tune.Callback):  # type: ignore[misc]  # Ray's classes are untyped
        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(tuned, {"cpu": 1}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                num_samples=trials,
                max_concurrent_trials=SLOTS,
                **options,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Watch()]),
        )
        results = tuner.fit()
    assert len(results) == trials and not results.errors


def stock(trials: int, ends: Ends) -> None:
    """Ray Tune with OptunaSearch."""
    from ray.tune.search.optuna import OptunaSearch

    theirs(trials, ends, search_alg=OptunaSearch(seed=0))


def timed(what: Callable[[int, Ends], None], trials: int) -> tuple[float, float]:
    """Seconds a trial: of the whole run, and between its first and its last end."""
    ends: Ends = []
    begin = time.perf_counter()
    what(trials, ends)
    whole = time.perf_counter() - begin
    return whole / trials, (ends[-1] - ends[0]) / (len(ends) - 1)


def main() -> None:
    """Print seconds a trial and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", type=int, default=400)
    parser.add_argument("--reused", type=int, default=100)
    parser.add_argument("--stock", type=int, default=12)
    asked = parser.parse_args()
    begin = time.perf_counter()
    with cluster.started(num_cpus=SLOTS):
        print(f"start of the cluster: {time.perf_counter() - begin:.1f} s", flush=True)
        runs: dict[str, tuple[Callable[[int, Ends], None], int]] = {
            "hpo, processes": (lambda trials, ends: ours(trials, ends, "processes"), asked.ours),
            "hpo, ray": (ours, asked.ours),
            "Tune, reuse_actors": (
                lambda n, ends: theirs(n, ends, reuse_actors=True),
                asked.reused,
            ),
            "Tune, OptunaSearch": (stock, asked.stock),
        }
        seconds = {}
        for name, (what, trials) in runs.items():
            if trials:
                whole, each = seconds[name] = timed(what, trials)
                print(
                    f"{name:18} {trials:5} trials: {each * 1e3:7.1f} ms a trial, {1 / each:6.1f} a second "
                    f"(whole run {whole * 1e3:7.1f} ms a trial)",
                    flush=True,
                )
    for name, (whole, each) in seconds.items():
        if name.startswith("Tune"):
            print(
                f"hpo runs {each / seconds['hpo, ray'][1]:.1f} times as many trials a second as {name} "
                f"(whole runs: {whole / seconds['hpo, ray'][0]:.1f})"
            )


if __name__ == "__main__":
    sys.modules["ray_overhead"] = sys.modules["__main__"]
    main()
