"""What ten restarts of its database do to a study.

    uv run python tests/benchmarks/postgres_restarts.py [--restarts 10] [--down 3] [--trials 30] [--seed N]

Two workers train softmax regressions on scikit-learn's digits, with pauses and checkpoints (`asha-promotion`). The
server is shut down and crashed in turn, at random moments, and comes back after so many seconds; one driver must get
through all of it, and no attempt may be lost. The exit code is 1 when any promise was broken.
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
    """Restart, finish, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--down", type=float, default=3.0, help="seconds without a server")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--passes", type=int, default=60, help="over the digits, an epoch")
    parser.add_argument("--spread", type=float, default=2.0, help="seconds from start to restart")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder, server(True) as postgres:
        assert postgres is not None
        storm = Storm(Path(folder), postgres.fresh(), given.seed, given.trials, given.passes)
        began = time.monotonic()
        try:
            storm.restart(postgres, given.restarts, given.down, given.spread)
            figures = storm.finish()
        finally:
            storm.close()
    print(*figures.lines(), f"{time.monotonic() - began:.0f} s", sep="\n")
    return 1 if figures.broken else 0


if __name__ == "__main__":
    sys.exit(main())
