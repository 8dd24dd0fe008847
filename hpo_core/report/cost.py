"""What a study cost, and what stopping trials early has saved.

A trial that was stopped (or is paused) would have had as many epochs as its objective's option `epochs` says; where it
has none, as many as the longest trial of the study. What it did not run is saved. In hours that is an estimate: each
epoch not run is taken to last as long as those that the trial did run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, distinct, func, select

from hpo_core.report.attempts import Attempt, Course
from hpo_core.results.trials import ResultTrial
from hpo_core.storage import tables
from hpo_core.storage.database import connect
from hpo_core.storage.studies import StudyRecord


@dataclass(frozen=True)
class Cost:
    """Epochs and seconds. `trial_seconds` are summed over attempts, `seconds` are those that drivers ran.

    `epochs` counts those `repeated` after an attempt was lost; `full` is what every successful trial would have had
    without being stopped, and `failed_seconds` went into trials that failed and attempts that were lost.
    """

    epochs: int
    repeated: int
    seconds: float
    trial_seconds: float
    failed_seconds: float
    full: int
    saved: int
    saved_seconds: float

    @property
    def share(self) -> float | None:
        """The part of the full epochs that was not run."""
        return self.saved / self.full if self.full else None


def planned(trial: ResultTrial, longest: int) -> int:
    """The epochs that a trial would have if nothing stopped it."""
    epochs = trial.options.get("epochs")
    return epochs if isinstance(epochs, int) else longest


def of(engine: Engine, record: StudyRecord, trials: Sequence[ResultTrial], course: Course) -> Cost:
    """The cost of a study."""
    by_attempt = _epochs(engine, record)
    inherited = {clone.trial: clone.parent_step for clone in course.clones()}
    spent = _spent(course.attempts)
    longest = max((trial.epochs for trial in trials), default=0)
    full = saved = 0
    saved_seconds = 0.0
    for trial in trials:
        if trial.state not in ("complete", "pruned", "paused"):
            continue
        whole = planned(trial, longest)
        rest = max(0, whole - trial.epochs) if trial.state != "complete" else 0
        own = trial.epochs - inherited.get(trial.number, 0)
        full += own + rest
        saved += rest
        saved_seconds += rest * spent[trial.number] / own if own > 0 else 0.0
    distinct_epochs = sum(len(trial.steps()) for trial in trials)
    failed = {trial.number for trial in trials if trial.failed}
    return Cost(
        epochs=sum(by_attempt.values()),
        repeated=sum(by_attempt.values()) - distinct_epochs,
        seconds=course.seconds,
        trial_seconds=sum(spent.values()),
        failed_seconds=sum(
            each.seconds
            for each in course.attempts
            if each.trial in failed or each.ending == "lost"
        ),
        full=full,
        saved=saved,
        saved_seconds=saved_seconds,
    )


def _spent(attempts: Sequence[Attempt]) -> Mapping[int, float]:
    """Seconds by trial."""
    found: defaultdict[int, float] = defaultdict(float)
    for attempt in attempts:
        found[attempt.trial] += attempt.seconds
    return found


def _epochs(engine: Engine, record: StudyRecord) -> Counter[tuple[int, int]]:
    """How many epochs each attempt reported, by trial and attempt."""
    table = tables.hpo_metrics
    query = (
        select(table.c.trial, table.c.attempt, func.count(distinct(table.c.step)))
        .where(table.c.study_id == record.study_id)
        .group_by(table.c.trial, table.c.attempt)
    )
    with connect(engine) as connection:
        return Counter({(trial, attempt): n for trial, attempt, n in connection.execute(query)})
