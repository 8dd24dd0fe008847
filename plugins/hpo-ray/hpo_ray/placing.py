"""Ray Tune's part: a Tuner, in a thread of the driver, that places the slots and starts them again.

Tune knows nothing of the study: no searcher, no scheduler, no checkpoints, no results, no restoring. Its files go to a
folder that is deleted at the end.
"""

from __future__ import annotations

import tempfile
import threading
from typing import Any

from ray import tune
from ray.tune.execution import class_cache

from hpo_ray.roster import WhenOver
from hpo_ray.slot import Slot

SECRETS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
}
NAMES = {"cpu": "CPU", "gpu": "GPU"}


def bundle(resources: dict[str, float]) -> dict[str, float]:
    """The resources of a slot under Ray's names."""
    return {NAMES.get(name, name): number for name, number in resources.items()}


class Placing:
    """`Tuner.fit` in a daemon thread. It ends when the stopper says so, or when no slot may be started again."""

    def __init__(
        self,
        config: dict[str, Any],
        slots: int,
        resources: dict[str, float],
        max_failures: int,
        stopper: WhenOver,
    ) -> None:
        # Tune would put them into the actors' runtime environment, which the dashboard shows to anybody
        class_cache.ENV_VARS_TO_PROPAGATE.difference_update(SECRETS)
        self._folder = tempfile.TemporaryDirectory(prefix="hpo-ray-", ignore_cleanup_errors=True)
        self._config = config
        self._slots = slots
        self._bundle = bundle(resources)
        self._max_failures = max_failures
        self._stopper = stopper
        self._words = "Ray Tune said nothing"
        self._thread = threading.Thread(target=self._fit, name="hpo-ray-tune", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether Tune has given up, or was told to."""
        return not self._thread.is_alive()

    @property
    def last_words(self) -> str:
        """Why Tune gave up."""
        return self._words

    def join(self, seconds: float) -> None:
        """Wait until the slots have ended, but not longer."""
        self._thread.join(seconds)
        if self.over:
            self._folder.cleanup()

    def _fit(self) -> None:
        try:
            results = self._tuner().fit()
        except Exception as error:  # whatever it is, the driver ends the run and says it
            self._words = _last_line(error)
            return
        if results.errors:
            self._words = _last_line(results.errors[-1])

    def _tuner(self) -> tune.Tuner:
        return tune.Tuner(
            tune.with_resources(Slot, tune.PlacementGroupFactory([self._bundle])),
            param_space=self._config,
            tune_config=tune.TuneConfig(num_samples=self._slots),
            run_config=tune.RunConfig(
                name=self._config["roster"],
                storage_path=self._folder.name,
                stop=self._stopper,
                failure_config=tune.FailureConfig(max_failures=self._max_failures),
                verbose=0,
            ),
        )


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
