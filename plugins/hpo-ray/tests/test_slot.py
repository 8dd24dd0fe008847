"""A slot by itself: nothing that the driver says is lost, whenever it comes. No cluster is needed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import pytest

from hpo_core.testing.distributions import use_distributions, write_distribution
from hpo_core.testing.execution import OBJECTIVES, make_trials
from hpo_core.workers.attempt import Limits


def test_a_trial_that_comes_before_the_slot_has_begun_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roster tells the driver of a slot; the driver's line may be there before the roster's answer is."""
    from hpo_ray import slot  # slow: imports ray

    write_distribution(tmp_path, "hpo-contract-objectives", OBJECTIVES)
    use_distributions(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slot, "SCORE", tmp_path / "score")
    [trial] = make_trials(tmp_path, 1, "contract-climb")
    config = {"objective": "contract-climb", "directory": str(tmp_path), "environment": {}}
    made = slot.Slot.__new__(slot.Slot)
    made.setup(config | {"limits": asdict(Limits()), "startup_timeout": 60.0})

    async def run() -> None:
        made._obey({"trial": trial.to_json(), "turn": 0})
        made._begin()
        try:
            while not any("report" in message for message in made._said):
                await asyncio.sleep(0.01)
        finally:
            await made.stop()

    asyncio.run(asyncio.wait_for(run(), 60))
