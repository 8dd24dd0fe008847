"""What a hundred kills do to a study of thirty small real trainings.

    uv run python tests/benchmarks/kill_storm.py [--kills 100] [--trials 30] [--seed N] [--postgres]

Two workers train softmax regressions on scikit-learn's digits, with pauses and checkpoints (`asha-promotion`). A worker
and the driver are killed in turn (`kill -9`), every tenth time the process that forks the workers, at random moments
after an attempt has begun; a driver that is gone is started again by the same command. The exit code is 1 when any
promise was broken.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from storm import Storm, server


def main() -> int:
    """Kill, finish, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--passes", type=int, default=20, help="over the digits, an epoch")
    parser.add_argument("--spread", type=float, default=1.0, help="seconds from start to kill")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--postgres", action="store_true", help="instead of SQLite")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder, server(given.postgres) as postgres:
        storage = f"sqlite:///{folder}/hpo.db" if postgres is None else postgres.fresh()
        storm = Storm(Path(folder), storage, given.seed, given.trials, given.passes)
        began = time.monotonic()
        try:
            storm.kill(given.kills, given.spread)
            figures = storm.finish()
        finally:
            storm.close()
    print(*figures.lines(), f"{time.monotonic() - began:.0f} s", sep="\n")
    return 1 if figures.broken else 0


if __name__ == "__main__":
    sys.exit(main())
