"""How many threads a trial computes with: executors say it to numerical libraries, and to the study.

It is part of a result: sums that are split otherwise are rounded otherwise, and early epochs at a large learning rate
make much of that. A model is trained again with as many (`hpo_core.reproduction`).
"""

from __future__ import annotations


def environment(threads: int) -> dict[str, str]:
    """What numerical libraries read when they are loaded."""
    return {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
