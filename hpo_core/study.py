"""A study: what to try next, what becomes of each trial, and the record of both.

It is passive. An executor asks, reports and finishes; the study never starts anything, waits for nothing and knows no
process, so that the same code is driven in this process, by local workers, by a cluster or by a simulator. It keeps no
state that is not in its history: opening a study replays its reports into a new trial scheduler and asks a new sampler
for every trial, which is why a study that was killed continues as if it had not been.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpo_core import options
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError
from hpo_core.sampling import SamplerContext, SpaceExhausted, derive_seed, suggest
from hpo_core.scheduling import Decision, TrialScheduler
from hpo_core.spec import StudySpec
from hpo_core.storage.ledger import Ledger
from hpo_core.trial import Ending, Event, Outcome, Report, Trial

COMMIT_SECONDS = 0.2
"""A report waits at most this long for its commit while trials keep reporting: what a watcher from another shell sees
is then at most this old. A finished trial never waits."""

_OURS = ("attempt", "steps", "seconds", "reason", "best_step", "checkpoint")
"""User attributes with a meaning of their own: a metric of such a name stays in the events and the metrics' table."""

_STATES = {
    Ending.COMPLETED: TrialState.COMPLETE,
    Ending.STOPPED: TrialState.PRUNED,
    Ending.FAILED: TrialState.FAIL,
}


@dataclass
class _Live:
    """A trial that runs now, and its best report so far."""

    trial_id: int
    steps: int = 0
    seconds: float = 0.0
    best: Report | None = None
    diverged: str | None = None


class Study:
    """Implements `hpo_core.contracts.Driven` over a ledger. Not thread-safe.

    `observers` are called with every event after its commit, in the order of the events.
    """

    def __init__(
        self,
        spec: StudySpec,
        target: int,
        ledger: Ledger,
        catalog: Catalog,
        code_path: list[str] | None = None,
        observers: Iterable[Callable[[Event], None]] = (),
    ) -> None:
        self.spec = spec
        self.target = target
        self.draining: str | None = None  # why the study is being stopped, or None
        self.exhausted: str | None = None  # why there is nothing left to propose, or None
        self.observers = list(observers)
        self._ledger = ledger
        self._space = spec.space
        self._code_path = code_path
        self._live: dict[int, _Live] = {}
        self._last_commit = time.monotonic()
        sampler = catalog.entry("samplers", spec.sampler["name"])
        given = {key: value for key, value in spec.sampler.items() if key != "name"}
        self._sampler = sampler.factory
        self._sampler_options = options.keywords(catalog, sampler, given)
        self._make_scheduler = options.bind(catalog, "trial_schedulers", spec.trial_scheduler).build
        self._requeued = self._put_back_orphans()
        self._finished = sum(trial.state.is_finished() for trial in ledger.trials())
        self._scheduler = self._replay()

    # ---- what executors call ----

    def ask(self) -> Trial | None:
        """See Driven. A trial whose attempt was lost comes before a new one."""
        if self.draining is not None:
            return None
        if self._requeued:
            return self._start(self._requeued.popleft())
        if self._finished + len(self._live) >= self.target or self.exhausted is not None:
            return None
        number = len(self._ledger.trials())
        context = SamplerContext(
            derive_seed(self.spec.seed, number, "sampler"), self.spec.seed, number, self._space
        )
        try:
            self._ledger.study.sampler = self._sampler(context, **self._sampler_options)
        except SpaceExhausted as error:
            self.exhausted = str(error)
            return None
        return self._start(self._propose(number))

    def report(self, trial: Trial, report: Report) -> Decision:
        """See Driven. A metric that is not finite ends its trial here, whatever the trial scheduler."""
        live = self._live[trial.number]
        live.steps, live.seconds = report.step, live.seconds + report.seconds
        value = report.metrics[trial.metric]
        self._ledger.mirror.set_trial_intermediate_value(live.trial_id, report.step, value)
        live.diverged = report.not_finite()
        if live.diverged is not None:
            decision = Decision.stopped(live.diverged)
        else:
            if live.best is None or self._better(value, live.best.metrics[trial.metric]):
                live.best = report
            decision = self._scheduler.on_report(trial, report, self._score(value))
        self._ledger.record_metrics(trial.number, trial.attempt, report)
        self._ledger.record(
            "report",
            trial.number,
            attempt=trial.attempt,
            step=report.step,
            metrics=report.metrics,
            value=value,
            seconds=round(report.seconds, 4),
            decision=decision.verdict.value,
            reason=decision.reason,
        )
        if time.monotonic() - self._last_commit > COMMIT_SECONDS:
            self.commit()
        ending = decision.stop or report.step == trial.epochs  # it ends by itself: let it
        if self.draining is not None and not ending:
            return Decision.stopped(self.draining)
        return decision

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """See Driven. An attempt that was stopped because the study is being stopped is put back."""
        live = self._live.pop(trial.number)
        if live.diverged is not None:
            outcome = Outcome(Ending.FAILED, live.diverged, outcome.traceback)
        drained = outcome.ending is Ending.STOPPED and outcome.reason == self.draining
        if drained or outcome.ending is Ending.INTERRUPTED:
            self._put_back(live.trial_id, trial, live.steps)
        else:
            self._close(trial, live, outcome)
        self.commit()

    def commit(self) -> None:
        """See Driven. Raises StorageError."""
        self._last_commit = time.monotonic()
        for event in self._ledger.commit():
            for observer in self.observers:
                observer(event)

    # ---- what the runner calls ----

    @property
    def done(self) -> bool:
        """Whether there is nothing left to run."""
        complete = self._finished >= self.target or self.exhausted is not None
        return complete and not self._live and not self._requeued

    @property
    def finished(self) -> int:
        """How many trials have ended for good, well or not."""
        return self._finished

    @property
    def requeued(self) -> int:
        """How many trials wait to be run again."""
        return len(self._requeued)

    def trial(self, number: int) -> Trial:
        """The last attempt at a trial, as it was given to its worker."""
        return self._trial(self._ledger.trials()[number])

    def drain(self, reason: str) -> None:
        """Start no more trials, and stop those that run at their next report, to be run again later."""
        self.draining = reason

    def release(self) -> None:
        """Put back every trial that its executor left running."""
        for number, live in list(self._live.items()):
            trial = self._trial(self._ledger.mirror.get_trial(live.trial_id))
            self._put_back(live.trial_id, trial, live.steps)
            del self._live[number]
        self._withdraw_unproposed()
        self.commit()

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """Set user attributes of the study, for whoever looks at it in a dashboard; stored by the next commit."""
        study = self._ledger.study
        for key, value in attributes.items():
            if study.user_attrs.get(key) != value:
                study.set_user_attr(key, value)

    def note(self, kind: str, **data: Any) -> None:
        """Add an event that is about no trial; the next commit stores and tells it. May be called by an observer."""
        self._ledger.record(kind, **data)

    def record(self, kind: str, **data: Any) -> None:
        """Add an event that is about no trial, and commit."""
        self.note(kind, **data)
        self.commit()

    def best(self) -> FrozenTrial | None:
        """The finished trial with the best value, failed ones aside; the earliest of equals."""
        best: FrozenTrial | None = None
        for trial in self._ledger.trials():
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.values:
                if best is None or self._better(trial.values[0], best.values[0]):
                    best = trial
        return best

    def counts(self) -> dict[str, int]:
        """Finished trials by state: complete, pruned, failed."""
        states = [trial.state for trial in self._ledger.trials()]
        return {
            "complete": states.count(TrialState.COMPLETE),
            "pruned": states.count(TrialState.PRUNED),
            "failed": states.count(TrialState.FAIL),
        }

    # ---- inside ----

    def _propose(self, number: int) -> int:
        """Have the sampler give every parameter of a new trial a value; the trial's id in the ledger."""
        try:
            asked = self._ledger.study.ask()
            self._space.fill(lambda name, distribution: suggest(asked, name, distribution))
        except (
            Exception
        ) as error:  # a sampler is a plugin, and may have been given an enqueued trial
            name = self.spec.sampler["name"]
            raise HpoError(
                f"the sampler '{name}' could not propose trial {number}: {type(error).__name__}: {error}"
            ) from error
        return asked._trial_id

    def _withdraw_unproposed(self) -> None:
        """Drop a trial that an error or a signal kept from getting its parameters: it was never told of.

        One that somebody enqueued through Optuna is stored already, so it is closed as failed.
        """
        for frozen in self._ledger.trials():
            if frozen.state is TrialState.RUNNING and "attempt" not in frozen.user_attrs:
                if not self._ledger.withdraw(frozen._trial_id):
                    mirror = self._ledger.mirror
                    mirror.set_trial_user_attr(
                        frozen._trial_id, "reason", "not of this study's space"
                    )
                    mirror.set_trial_state_values(frozen._trial_id, TrialState.FAIL)

    def _start(self, trial_id: int) -> Trial:
        """Begin an attempt at a trial whose parameters are in the ledger."""
        mirror = self._ledger.mirror
        frozen = mirror.get_trial(trial_id)
        if frozen.state is TrialState.WAITING:
            mirror.set_trial_state_values(trial_id, TrialState.RUNNING)
            self._ledger.forget_steps(trial_id)
        mirror.set_trial_user_attr(trial_id, "attempt", frozen.user_attrs.get("attempt", 0) + 1)
        trial = self._trial(mirror.get_trial(trial_id))
        self._live[trial.number] = _Live(trial_id)
        self._ledger.record(
            "trial_started",
            trial.number,
            attempt=trial.attempt,
            params=trial.params,
            epochs=trial.epochs,
        )
        return trial

    def _trial(self, frozen: FrozenTrial) -> Trial:
        """The value that a worker needs, from what the ledger knows."""
        attempt = frozen.user_attrs["attempt"]
        folder = Path(self.spec.directory, self.spec.study, "trials", f"{frozen.number:04d}")
        return Trial(
            number=frozen.number,
            attempt=attempt,
            objective=self.spec.objective["name"],
            params=dict(frozen.params),
            config=self._space.fill(lambda name, _: frozen.params[name]),
            seed=derive_seed(self.spec.seed, frozen.number, "trial"),
            metric=self.spec.metric,
            goal=self.spec.goal,
            directory=str(folder / f"attempt-{attempt}"),
            code_path=self._code_path,
        )

    def _close(self, trial: Trial, live: _Live, outcome: Outcome) -> None:
        """Give a trial its final state, value and attributes."""
        value = None
        mirror = self._ledger.mirror
        attributes: dict[str, Any] = {"steps": live.steps, "seconds": round(live.seconds, 3)}
        if outcome.reason:
            attributes["reason"] = outcome.reason
        if outcome.ending is not Ending.FAILED and live.best is not None:
            value = live.best.metrics[trial.metric]
            attributes["best_step"] = live.best.step
            attributes |= {
                name: number
                for name, number in live.best.metrics.items()
                if name not in (trial.metric, *_OURS)
            }
            if live.best.checkpoint is not None:
                attributes["checkpoint"] = live.best.checkpoint
        for key, attribute in attributes.items():
            mirror.set_trial_user_attr(live.trial_id, key, attribute)
        state = _STATES[outcome.ending]
        self._tell_sampler(live.trial_id, state, value)
        mirror.set_trial_state_values(live.trial_id, state, None if value is None else [value])
        self._finished += 1
        self._scheduler.on_finish(trial, outcome)
        self._ledger.record(
            "trial_finished",
            trial.number,
            attempt=trial.attempt,
            state=state.name.lower(),
            ending=outcome.ending.value,
            value=value,
            reason=outcome.reason,
            steps=live.steps,
            seconds=round(live.seconds, 3),
        )

    def _tell_sampler(self, trial_id: int, state: TrialState, value: float | None) -> None:
        """What `optuna.Study.tell` does for samplers; it cannot be used, for it drops a pruned value."""
        study: optuna.Study = self._ledger.study
        trial = self._ledger.mirror.get_trial(trial_id)
        study.sampler.after_trial(study, trial, state, None if value is None else [value])

    def _put_back(self, trial_id: int, trial: Trial, steps: int) -> None:
        self._ledger.mirror.set_trial_state_values(trial_id, TrialState.WAITING)
        self._requeued.append(trial_id)
        self._ledger.record("trial_interrupted", trial.number, attempt=trial.attempt, steps=steps)

    def _put_back_orphans(self) -> deque[int]:
        """Trials that were running or waiting when their driver ended: to be run again, first ones first.

        A waiting trial that never had an attempt was enqueued by somebody through Optuna: its `ask` will find it.
        """
        orphans: deque[int] = deque()
        for frozen in self._ledger.trials():
            if frozen.state.is_finished() or "attempt" not in frozen.user_attrs:
                continue
            if frozen.state is TrialState.RUNNING:
                self._ledger.mirror.set_trial_state_values(frozen._trial_id, TrialState.WAITING)
            orphans.append(frozen._trial_id)
        return orphans

    def _replay(self) -> TrialScheduler:
        """A trial scheduler that has seen every report of every finished trial's last attempt."""
        scheduler: TrialScheduler = self._make_scheduler()
        trials = {
            frozen.number: self._trial(frozen)
            for frozen in self._ledger.trials()
            if frozen.state.is_finished() and "attempt" in frozen.user_attrs
        }
        for event in self._ledger.events():
            trial = trials.get(-1 if event.trial is None else event.trial)
            if trial is None or event.data.get("attempt") != trial.attempt:
                continue
            if event.kind == "report":
                data = event.data
                report = Report(data["step"], data["metrics"], data["seconds"])
                if report.not_finite() is None:
                    scheduler.on_report(trial, report, self._score(data["value"]))
            elif event.kind == "trial_finished":
                outcome = Outcome(Ending(event.data["ending"]), event.data["reason"])
                scheduler.on_finish(trial, outcome)
        return scheduler

    def _better(self, value: float, than: float) -> bool:
        return self._score(value) > self._score(than)

    def _score(self, value: float) -> float:
        return value if self.spec.goal == "maximize" else -value
