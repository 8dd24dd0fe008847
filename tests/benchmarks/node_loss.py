"""A study on a cluster that loses its nodes: small real trainings, one raylet killed after another.

    uv run python tests/benchmarks/node_loss.py [--trials 30] [--every 20]

A head without processor cores for trials and three nodes with one slot each, all on this machine; every so many seconds
a node is killed as by a power cut, and another is added. At the end the study must have exactly its trials, all
finished, and no process may be left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from hpo_ray.cluster import STORE

CODE = Path(__file__).resolve().parents[1]  # softmax.py
HPO = Path(sys.executable).with_name("hpo")
NODE = {"num_cpus": 1, "resources": {"slot": 1}, "object_store_memory": STORE}
STUDY = """
study: node-loss
metric: {{name: accuracy, goal: maximize}}
budget: {{trials: {trials}, max_attempts: 100}}
objective:
  name: python
  call: softmax:train
  arguments: {{lr: {{float: [0.001, 1.0], log: true}}, decay: {{float: [1.0e-6, 0.1], log: true}}, passes: {passes}}}
  epochs: 9
sampler: random
executor: {{name: ray, workers: 3, resources: {{cpu: 1, slot: 1}}, max_failures: -1, address: "{address}"}}
"""


def begun(folder: Path, text: str) -> subprocess.Popen[str]:
    """`hpo run` with its events in a file."""
    (folder / "study.yaml").write_text(text)
    with (folder / "events").open("w") as events:
        return subprocess.Popen(
            [str(HPO), "run", "study.yaml", "--allow-code", "--json", "storage=sqlite:///hpo.db"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(CODE)},
            stdout=events,
            text=True,
        )


def lose(nodes: Any, driver: subprocess.Popen[str], every: float) -> int:
    """Kill a node and add one, again and again, as long as the study runs; how many were killed."""
    chosen, killed = random.Random(0), 0
    while True:
        try:
            driver.wait(every)
            return killed
        except subprocess.TimeoutExpired:
            living = sorted(nodes.worker_nodes, key=lambda node: node.node_id)
            nodes.remove_node(chosen.choice(living), allow_graceful=False)
            nodes.add_node(**NODE)
            killed += 1
            print(f"killed a node and added one ({killed})", flush=True)


def main() -> None:
    """Print what became of the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--every", type=float, default=20.0)
    asked = parser.parse_args()
    from ray.cluster_utils import Cluster

    begin = time.monotonic()
    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE}
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(3):
            nodes.add_node(**NODE)
        text = STUDY.format(trials=asked.trials, passes=asked.passes, address=nodes.address)
        driver = begun(folder, text)
        killed = lose(nodes, driver, asked.every)
        events = [json.loads(line) for line in (folder / "events").read_text().splitlines()]
        nodes.shutdown()
    ends = [event["trial"] for event in events if event["event"] == "trial_finished"]
    lost = [event for event in events if event["event"] == "trial_lost"]
    for event in lost:
        print(f"trial {event['trial']}, attempt {event['attempt']}: {event['reason']}")
    print(
        f"exit {driver.returncode} after {time.monotonic() - begin:.0f} s: {len(ends)} finished trials "
        f"({len(set(ends))} different), {killed} nodes killed, {len(lost)} attempts lost"
    )
    left = psutil.Process().children(recursive=True)
    print(f"processes left: {len(left)}")
    sys.exit(sorted(ends) != list(range(asked.trials)) or bool(left))


if __name__ == "__main__":
    main()
