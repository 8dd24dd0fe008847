"""The executor `processes`: trials in warm worker processes on this machine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hpo_core import Driven, Interrupt
from hpo_core.workers.attempt import Limits
from hpo_core.workers.drive import Drive
from hpo_core.workers.limits import Memory, ReportTimeout, TrialTimeout
from hpo_core.workers.pool import Pool
from hpo_core.workers.threads import environment
from hpo_local.cores import usable_cores


class Processes:
    """Runs trials in warm worker processes on this machine (a `hpo_core.Executor`)."""

    def __init__(
        self,
        *,
        workers: Annotated[
            Annotated[int, Field(ge=1)] | Literal["auto"],
            Field(
                description="trials that run at once; auto: one for each processor core, at most 8"
            ),
        ] = "auto",
        threads: Annotated[
            int | None,
            Field(ge=1, description="threads that a worker computes with; null: cores / workers"),
        ] = None,
        trial_timeout: TrialTimeout = None,
        report_timeout: ReportTimeout = None,
        memory: Memory = None,
        startup_timeout: Annotated[
            float, Field(gt=0, description="seconds that importing the objective may take")
        ] = 300.0,
    ) -> None:
        cores = usable_cores()
        self.workers = min(cores, 8) if workers == "auto" else workers
        self.threads = threads or max(1, cores // self.workers)
        self.limits = Limits(trial_timeout, report_timeout, memory)
        self.startup_timeout = startup_timeout

    def run(self, study: Driven, interrupt: Interrupt) -> None:
        """See `hpo_core.Executor.run`. Raises ExecutorError when workers cannot be started."""
        first = study.ask()
        if first is None:
            study.commit()
            return
        pool = Pool(
            first.objective,
            self.workers,
            environment(self.threads),  # more threads than cores make torch many times slower
            self.startup_timeout,
            self.limits,
        )
        with pool:
            Drive(study, pool, self.limits, first).run(interrupt)
