"""A trial scheduler and an objective of a third party."""

from typing import Annotated

from pydantic import Field

from hpo_core import (
    CONTINUE,
    Decision,
    Report,
    Run,
    SchedulerContext,
    Trial,
    TrialScheduler,
    hookimpl,
)


class Thermostat(TrialScheduler):
    """Stops a trial whose score falls below a bound."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        bound: Annotated[float, Field(description="the least score")] = -5.0,
    ):
        self.bound = bound

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        return Decision.stopped(f"{score:g} < {self.bound:g}") if score < self.bound else CONTINUE


def cooling(run: Run, *, rate: Annotated[float, Field(ge=0, le=1)], epochs: int = 5) -> None:
    """A cup of coffee that cools towards 20 degrees."""
    for epoch in range(1, epochs + 1):
        if run.report(epoch, {"degrees": 20 + 70 * (1 - rate) ** epoch}).stop:
            return


@hookimpl
def register_objectives(register):
    register("cooling", cooling)


@hookimpl
def register_trial_schedulers(register):
    register("thermostat", Thermostat)
