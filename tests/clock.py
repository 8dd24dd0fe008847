"""A clock for tests of what waits or gives up: it stands still unless a test moves it, however slow the machine is."""

from __future__ import annotations

from dataclasses import dataclass

from hpo_core.testing.execution import ScriptedStudy


class Clock:
    """Takes the place of `time` in a module: `monkeypatch.setattr(module, "time", clock)`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """A microsecond after the last answer: what came later is known to have come later."""
        self.now += 1e-6
        return self.now


@dataclass
class Hurry:
    """An interrupt that never comes. A minute passes with each turn of the driver that waits for a first attempt."""

    clock: Clock
    study: ScriptedStudy

    @property
    def now(self) -> bool:
        if self.study.reports and not self.study.attempts:
            self.clock.now += 60
        return False
