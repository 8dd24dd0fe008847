"""The executor `ray`: trials on a Ray cluster, in long-lived slots that Ray Tune places and restarts.

Ray and Tune are imported when a study runs and not before: `hpo validate` reads the options below in milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hpo_core import Driven, Interrupt, PluginError, Trial
from hpo_core.workers.attempt import Limits
from hpo_core.workers.drive import Drive
from hpo_core.workers.limits import Memory, ReportTimeout, TrialTimeout


def _placeable(resources: dict[str, float]) -> dict[str, float]:
    if not any(resources.values()):
        raise ValueError("a trial needs something: {cpu: 1}, say")
    if resources.get("gpu", 0) > 1 and resources["gpu"] % 1:
        raise ValueError("more than one GPU are whole ones")
    return resources


class RayExecutor:
    """Runs trials on a Ray cluster, in slots that Ray Tune places (a `hpo_core.Executor`)."""

    def __init__(
        self,
        *,
        workers: Annotated[
            Annotated[int, Field(ge=1)] | Literal["auto"],
            Field(
                description="trials that run at once; auto: as many as the cluster's resources hold"
            ),
        ] = "auto",
        resources: Annotated[
            dict[str, Annotated[float, Field(ge=0)]],
            AfterValidator(_placeable),
            Field(
                description="what one trial takes: cpu, gpu (a part of one, too), memory in bytes, and what the "
                "cluster's nodes offer under names of their own"
            ),
        ] = {"cpu": 1},  # noqa: B006  # never changed
        address: Annotated[
            str,
            Field(
                pattern=r"^(auto|local|ray://.+|[^:/\s]+:\d+)$",
                description="the cluster: host:port, ray://host:port, local (a new one, for this study), or auto: "
                "RAY_ADDRESS, or the one that runs on this machine, or else local",
            ),
        ] = "auto",
        max_failures: Annotated[
            int,
            Field(
                ge=-1,
                description="times that Ray Tune starts a slot again, here or on another node; -1: any number",
            ),
        ] = 3,
        trial_timeout: TrialTimeout = None,
        report_timeout: ReportTimeout = None,
        memory: Memory = None,
        startup_timeout: Annotated[
            float,
            Field(
                gt=0,
                description="seconds that the cluster may be without a slot, and that importing the objective may take",
            ),
        ] = 300.0,
    ) -> None:
        self.workers = workers
        self.resources = {name: number for name, number in resources.items() if number}
        self.threads = max(1, int(resources.get("cpu", 1)))
        self.address = address
        self.max_failures = max_failures
        self.limits = Limits(trial_timeout, report_timeout, memory)
        self.startup_timeout = startup_timeout

    def run(self, study: Driven, interrupt: Interrupt) -> None:
        """See `hpo_core.Executor.run`. Raises ExecutorError when there is no cluster, or it has no room for a trial."""
        first = study.ask()
        if first is None:
            study.commit()
            return
        try:
            from hpo_ray.cluster import connected
            from hpo_ray.crew import Crew
        except ImportError as error:
            raise PluginError(f"the executor 'ray' cannot import Ray: {error}") from error
        with connected(self.address) as cluster:
            room = cluster.room(self.resources) if self.workers == "auto" else self.workers
            asked = self._ask(study, first, room)
            with Crew(cluster, self, len(asked), first.objective) as crew:
                Drive(study, crew, self.limits, *asked).run(interrupt)

    def _ask(self, study: Driven, first: Trial, room: int) -> list[Trial]:
        """The trials to begin with: there will be as many slots, for a large cluster holds more than a study needs."""
        asked = [first]
        while len(asked) < room and (trial := study.ask()) is not None:
            asked.append(trial)
        return asked
