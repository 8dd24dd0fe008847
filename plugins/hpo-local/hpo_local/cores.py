"""How many processor cores this process may use: what `workers: auto` and the threads of a worker follow."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": 2 cores; "max 100000": no limit


def usable_cores(limit: Path = CGROUP_LIMIT) -> int:
    """The cores that the scheduler's mask and the container's quota leave; at least 1.

    `os.cpu_count` knows neither: in a container with 2 cores on a machine with 64 it says 64.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()
    except (OSError, ValueError):
        return cores  # no control groups here, or of the older kind
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
