"""How long a study of 10,000 trials takes to run, to open, to continue and to look at.

    uv run python tests/benchmarks/large_study.py [--trials 10000] [--trial-scheduler asha] [--storage ADDRESS]

A real study is driven without an objective: ten reports a trial of two metrics, five parameters, the random sampler.
`ask`, `report` and `finish` are timed one by one, SQLite's commits included. Opening and `hpo status` are measured in
processes of their own, opening from the start of the process until the study may be asked; its imports also apart.
Targets: 5 ms for the 95th percentile of each call, 2 s to open, 1 s for `hpo status`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpo_core import Checkpoint, Ending, Outcome, Report, Trial, Verdict, plugins
from hpo_core.spec import StudySpec, check, read
from hpo_core.storage import database, studies
from hpo_core.storage.ledger import Ledger
from hpo_core.study import DrivenStudy

STUDY = """\
study: large
metric: {{name: loss, goal: minimize}}
budget: {{trials: {trials}}}
objective:
  name: python
  call: nobody:calls
  arguments: {{a: {{float: [0, 1]}}, b: {{float: [0, 1]}}, c: {{float: [1e-5, 1], log: true}}, d: {{int: [1, 9]}},
               e: {{choice: [sgd, adam, lion]}}}}
sampler: random
trial_scheduler: {scheduler}
storage: {storage}
"""

OPEN = """\
import sys, time
began = time.perf_counter()
started = float(sys.argv[2])
from pathlib import Path
from hpo_core import plugins
from hpo_core.spec import check, read
from hpo_core.storage import database, studies
from hpo_core.storage.ledger import Ledger
from hpo_core.study import DrivenStudy
catalog, _ = plugins.load()
spec = check(read(Path(sys.argv[1]), []), catalog, Path(sys.argv[1]))
engine = database.open_existing(spec.storage)
imported = time.perf_counter()
record = studies.find(engine, "large")
ledger = Ledger(engine, record.study_id, "large", "minimize", "loss")
study = DrivenStudy(spec, spec.budget, ledger, catalog)
print(f"{time.time() - started:.2f} {imported - began:.2f} {time.perf_counter() - imported:.2f} {study.finished}")
"""


def main() -> None:
    """Fill a database, then measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--trial-scheduler", default="asha")
    parser.add_argument("--storage")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = given.storage or f"sqlite:///{folder}/hpo.db"
        file = Path(folder, "study.yaml")
        file.write_text(
            STUDY.format(trials=given.trials, scheduler=given.trial_scheduler, storage=storage)
        )
        _fill(file)
        _in_processes(file, storage)


def _fill(file: Path) -> None:
    catalog, _ = plugins.load()
    spec = check(read(file, []), catalog, file)
    engine = database.open_or_create(spec.storage)
    record = studies.create(
        engine, spec.study, spec.goal, spec.identity(), spec.budget.trials, "runs"
    )
    ledger = Ledger(engine, record.study_id, spec.study, spec.goal, spec.metric)
    study = DrivenStudy(spec, spec.budget, ledger, catalog)
    seconds: dict[str, list[float]] = defaultdict(list)
    began = time.perf_counter(), time.process_time()
    study.record("study_started", **_opening(spec))
    _drive(study, seconds)
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    print(
        f"{study.finished} trials in {wall:.0f} s, {cpu / study.finished * 1e3:.1f} ms of work each"
    )
    for name, each in seconds.items():
        ordered = sorted(each)
        middle, late = (ordered[int(len(ordered) * share)] * 1e3 for share in (0.5, 0.95))
        print(f"{name:7} median {middle:.2f} ms, 95th percentile {late:.2f} ms")


def _opening(spec: StudySpec) -> dict[str, Any]:
    return {"objective": dict(spec.objective), "budget": {"trials": spec.budget.trials}}


def _drive(study: DrivenStudy, seconds: dict[str, list[float]]) -> None:
    """Run every trial to its end, timing each call."""

    def timed(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        result = call(*arguments)
        seconds[name].append(time.perf_counter() - began)
        return result

    while (trial := timed("ask", study.ask)) is not None:
        timed("finish", study.finish, trial, _run(trial, timed, study))


def _run(trial: Trial, timed: Callable[..., Any], study: DrivenStudy) -> Outcome:
    start = trial.checkpoints[0].step if trial.checkpoints else 0
    for step in range(start + 1, 11):
        loss = trial.params["arguments.a"] + 1 / step
        saved = Checkpoint(step, f"none/{trial.number}/{trial.attempt}/{step}", "0" * 64)
        report = Report(step, {"loss": loss, "accuracy": 1 - loss}, 0.1, saved)
        decision = timed("report", study.report, trial, report)
        if decision.stop:
            paused = decision.verdict is Verdict.PAUSE
            return Outcome(Ending.PAUSED if paused else Ending.STOPPED, decision.reason)
    return Outcome(Ending.COMPLETED)


def _in_processes(file: Path, storage: str) -> None:
    """Open the study and ask for its status as a user does."""
    for _ in range(3):
        command = [sys.executable, "-c", OPEN, str(file), str(time.time())]
        opened = subprocess.run(command, check=True, capture_output=True, text=True)
        whole, imports, opening, finished = opened.stdout.split()
        print(
            f"open    {whole} s: {imports} s of imports, {opening} s for {finished} finished trials"
        )
    command = [sys.executable, "-c", "from hpo_core.cli.main import main; main()"]
    command += ["status", "large", "--storage", storage]
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
        print(f"status  {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
