"""A study: what to try next, and what becomes of each trial.

It is passive. An executor asks, reports and finishes; the study never starts anything, waits for nothing and knows no
process, so that the same code is driven in this process, by local workers, by a cluster or by a simulator. Everything
that it decides is an event, and everything that it knows follows from its events (`hpo_core.record`): opening a study
takes them into account again and asks a new sampler for every trial, which is why a study that was killed continues as
if it had not been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo_core import checkpoints, options
from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError
from hpo_core.history import Progress, Standing
from hpo_core.profiles import Profile
from hpo_core.proposing import Proposer
from hpo_core.record import PROFILE, DataOf, Record
from hpo_core.references import conceal
from hpo_core.sampling import SpaceExhausted, derive_seed
from hpo_core.scheduling import (
    CONTINUE,
    Clone,
    Decision,
    Resume,
    SchedulerContext,
    Start,
    Verdict,
    Wait,
)
from hpo_core.spec import StudySpec
from hpo_core.storage import artifacts, user_plots
from hpo_core.storage.ledger import Ledger
from hpo_core.trial import Checkpoint, Ending, Event, Outcome, Report, Trial

COMMIT_SECONDS = 0.2
"""A report waits at most this long for its commit while trials keep reporting: what a watcher from another shell sees
is then at most this old. A finished trial never waits."""

_OBEYED = (Ending.STOPPED, Ending.PAUSED)

_ENDINGS = {Verdict.STOP: Ending.STOPPED, Verdict.PAUSE: Ending.PAUSED}


class DrivenStudy:
    """Implements `hpo_core.contracts.Driven` over a ledger. Not thread-safe.

    `observers` are called with every event after its commit, in the order of the events. `budget` is the file's, with
    what `--more` has added. `discard` is called with each checkpoint that nobody needs any more, `data_of` with each
    trial's objective and options when it starts.
    """

    def __init__(
        self,
        spec: StudySpec,
        budget: Budget,
        ledger: Ledger,
        catalog: Catalog,
        code_path: list[str] | None = None,
        observers: Iterable[Callable[[Event], None]] = (),
        discard: Callable[[Checkpoint], None] = checkpoints.delete,
        data_of: DataOf = lambda *_: None,
    ) -> None:
        self.spec = spec
        self.budget = budget
        self.draining: str | None = None  # why the study is being stopped, or None
        self.blocked: str | None = None  # what is wrong with this machine, or None
        self.over: str | None = None  # why nothing will be started any more, or None
        self.observers = list(observers)
        self._ledger = ledger
        self._proposer = Proposer(spec, ledger, catalog)
        context = SchedulerContext(derive_seed(spec.seed, "trial_scheduler"), spec.space)
        self._scheduler = options.bind(catalog, "trial_schedulers", spec.trial_scheduler).build(
            context
        )
        self._record = Record(spec, ledger, self._scheduler, code_path, discard, data_of)
        self._history = self._record.history
        self._exhausted: str | None = None  # why there is nothing left to propose, or None
        self._drained: set[int] = (
            set()
        )  # running trials that were told to end because of `draining`
        self._last_commit = time.monotonic()
        self._record.replay()
        self._inherited = bool(self._history.running)  # trials whose driver died

    # ---- what executors call ----

    def ask(self) -> Trial | None:
        """See Driven. A trial whose attempt was lost comes before what the trial scheduler wants."""
        if self.draining is not None or self.over is not None:
            return None
        if self._inherited:
            self._inherited = False
            self._resolve_running()
        running = len(self._history.running)
        spent = self.budget.spent(self._history, time.time(), running)
        trial = self._next() if spent is None else None
        if trial is None and running == 0:
            self.wind_up(spent or self._exhausted or "the trial scheduler has nothing left to run")
        return trial

    def report(self, trial: Trial, report: Report) -> Decision:
        """See Driven. A metric that is not finite ends its trial here, whatever the trial scheduler."""
        if not self._current(trial):
            self._record.note("late", trial.number, attempt=trial.attempt, step=report.step)
            return Decision.stopped(f"attempt {trial.attempt} was given up")
        for warning in report.warnings:
            self._record.note("warning", trial.number, attempt=trial.attempt, reason=warning)
        decision, by = self._decide(trial, report)
        self._record.report(trial, report, decision, by)
        if time.monotonic() - self._last_commit > COMMIT_SECONDS:
            self.commit()
        ending = decision.stop or report.step == trial.epochs  # it ends by itself: let it
        if self.draining is not None and not ending:
            self._drained.add(trial.number)
            return Decision.paused(self.draining)
        return decision

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """See Driven. What the study decided counts, whatever way the attempt then ended."""
        if self._current(trial):
            self._resolve(trial, outcome)
        else:
            said = {"ending": outcome.ending.value, "reason": outcome.reason}
            self._record.note("late", trial.number, attempt=trial.attempt, **said)
        self.commit()

    def commit(self) -> None:
        """See Driven. Deletes the checkpoints that nobody needs any more. Raises StorageError."""
        self._last_commit = time.monotonic()
        self._record.commit(self.observers)

    # ---- what the runner calls ----

    @property
    def done(self) -> bool:
        """Whether there is nothing left to run."""
        return self.over is not None or not (self._room or self._history.unfinished)

    @property
    def new(self) -> bool:
        """Whether no driver has run it before."""
        return self._history.drivers == 0

    @property
    def finished(self) -> int:
        """How many trials have ended for good, well or not."""
        return self._history.finished

    @property
    def begun(self) -> bool:
        """Whether any trial has been started."""
        return bool(self._history.trials)

    @property
    def epochs(self) -> int:
        """How many epochs have been reported, over all trials; those repeated after a loss count once."""
        return self._history.epochs

    @property
    def seconds(self) -> float:
        """How long drivers have run the study."""
        return self._history.seconds(time.time())

    @property
    def requeued(self) -> int:
        """How many trials wait to be run again."""
        inherited = len(self._history.running) if self._inherited else 0
        return len(self._history.requeued) + inherited

    @property
    def paused(self) -> int:
        """How many trials the trial scheduler has paused."""
        unfinished = self._history.unfinished.values()
        return sum(progress.standing is Standing.PAUSED for progress in unfinished)

    def trial(self, number: int) -> Trial:
        """The last attempt at a trial, as it was given to its worker."""
        return self._record.trial(number)

    def standing(self, number: int) -> Standing | None:
        """Where a trial stands, or None before it was started."""
        progress = self._history.trials.get(number)
        return None if progress is None else progress.standing

    def knows(self, number: int, attempt: int) -> bool:
        """Whether this attempt at a trial was begun, as far as this driver has heard."""
        progress = self._history.trials.get(number)
        return progress is not None and attempt <= progress.attempt

    def saved(self, number: int) -> Report | None:
        """The best report of a trial that came with a checkpoint."""
        return self._history.trials[number].saved if number in self._history.trials else None

    @property
    def store(self) -> str | None:
        """The address of the study's own folder of checkpoints, where they are not below its trials' directories."""
        return self._record.store

    def needed(self) -> dict[str, Checkpoint]:
        """The checkpoints that somebody may still need, by path."""
        return self._record.retention.needed()

    def drain(self, reason: str) -> None:
        """Start no more trials, and have those that run pause at their next report, to be continued later."""
        self.draining = reason

    def release(self) -> None:
        """Put back every trial that its executor left running."""
        self._resolve_running()
        for number in self._proposer.withdraw(self._history.trials):
            self._record.refuse(number, "not of this study's space")
        self.commit()

    def enqueue(self, profile: Profile) -> None:
        """Have a trial with the values of a profile run before a sampler proposes any; the next commit stores it."""
        number = self._proposer.enqueue(profile.params, {PROFILE: profile.component})
        self.note("profile_enqueued", number=number, **asdict(profile))

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """Set user attributes of the study, for whoever looks at it in a dashboard; stored by the next commit."""
        study = self._ledger.study
        for key, value in attributes.items():
            if study.user_attrs.get(key) != value:
                study.set_user_attr(key, value)

    def plot(self, name: str, figure: Mapping[str, Any]) -> None:
        """Show a figure, plotly's JSON, on the study's page of a dashboard; stored by the next commit."""
        user_plots.put(self._ledger.study, name, figure)

    def attach(self, filename: str, mimetype: str, text: str) -> None:
        """Show a file on the study's page of a dashboard; named by the next commit. Raises StorageError."""
        folder = Path(self.spec.directory, self.spec.study)
        artifacts.put(self._ledger.study, folder, filename, mimetype, text)

    def plotted(self, name: str) -> bool:
        """Whether the study shows a figure of that name."""
        return user_plots.has(self._ledger.study, name)

    def note(self, kind: str, trial: int | None = None, **data: Any) -> None:
        """Add an event that changes no trial; the next commit stores and tells it. May be called by an observer."""
        self._record.note(kind, trial, **data)

    def record(self, kind: str, trial: int | None = None, **data: Any) -> None:
        """Add an event that changes no trial, and commit."""
        self.note(kind, trial, **data)
        self.commit()

    def best(self) -> FrozenTrial | None:
        """The finished trial with the best value, failed ones aside; the earliest of equals."""
        best: FrozenTrial | None = None
        sign = 1 if self.spec.goal == "maximize" else -1
        for trial in self._ledger.trials():
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.values:
                if best is None or sign * trial.values[0] > sign * best.values[0]:
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

    # ---- what to run next ----

    @property
    def _room(self) -> bool:
        return self._exhausted is None and self.budget.room(self._history)

    def _next(self) -> Trial | None:
        """Start what has been put back, or what the trial scheduler wants; None: wait."""
        if self._history.requeued:
            return self._continue(self._history.requeued[0], origin="retried")
        room = self._room
        answer = self._scheduler.next(room)
        if isinstance(answer, Wait):
            return None
        if isinstance(answer, Start) and room:
            return self._start_new() or self._next()  # without room, if the space is exhausted
        if isinstance(answer, Clone) and room and self._can_clone(answer):
            return self._clone(answer)
        if isinstance(answer, Resume) and self.standing(answer.number) is Standing.PAUSED:
            return self._continue(answer.number, origin="resumed", reason=answer.reason)
        name = self.spec.trial_scheduler["name"]
        raise HpoError(f"the trial scheduler '{name}' asked for what cannot be: {answer}")

    def _continue(self, number: int, **why: Any) -> Trial:
        saved = self._history.trials[number].checkpoints
        from_step = saved[0].step if saved else 0
        return self._record.start(self._record.frozen(number), from_step=from_step, **why)

    def _start_new(self) -> Trial | None:
        """Propose and start a trial; None when there is nothing left to propose."""
        evidence, fidelity = self._record.evidence, self._scheduler.fidelity()
        known = len(self._ledger.trials())
        shown = evidence.show(fidelity, self._record.unsettled())
        try:
            frozen = self._proposer.propose(self._record.space, shown)
        except SpaceExhausted as error:
            self._exhausted = str(error)
            return None
        if frozen.number < known:
            whose = frozen.user_attrs.get(PROFILE)
            reason = None if whose is None else f"the profile of the {whose}"
            return self._record.start(frozen, origin="enqueued", reason=reason)
        learned_from = evidence.results(fidelity)
        return self._record.start(
            frozen, origin="new", learned_from=learned_from, fidelity=fidelity
        )

    def _can_clone(self, clone: Clone) -> bool:
        """Whether a clone's parent is known, and what it replaces is paused."""
        ends = clone.replaces is None or self.standing(clone.replaces) is Standing.PAUSED
        return ends and clone.parent in self._history.trials

    def _clone(self, clone: Clone) -> Trial:
        """Make and start a trial from another one's newest checkpoint; the one it replaces ends."""
        parent = self._history.trials[clone.parent]
        saved = self._record.retention.kept(parent)
        if not saved:
            lost = "keep.paused is too small: its checkpoint was deleted"
            none = f"the objective '{self.spec.objective['name']}' saved no checkpoint of it"
            why = lost if parent.checkpoints else none
            raise HpoError(f"trial {clone.parent} cannot be cloned: {why}")
        frozen = self._proposer.clone(self._record.space, clone)
        if clone.replaces is not None:
            self._end(self.trial(clone.replaces), Outcome(Ending.STOPPED, clone.reason))
        return self._record.start(
            frozen,
            origin="cloned",
            reason=clone.reason,
            parent=clone.parent,
            parent_step=saved[0].step,
            checkpoint=saved[0].to_json(),
        )

    def wind_up(self, reason: str) -> None:
        """Nothing runs and nothing will: what is paused or put back ends here, as stopped.

        Not so what was put back after its last epoch: no epoch is missing of it.
        """
        for number, progress in sorted(self._history.unfinished.items()):
            trial = self.trial(number)
            why = f"{progress.standing.value} after epoch {progress.step}: {reason}"
            lacks_nothing = progress.best is not None and progress.step == trial.epochs
            if lacks_nothing and progress.standing is Standing.REQUEUED:
                self._end(trial, Outcome(Ending.COMPLETED))
            else:
                self._end(trial, Outcome(Ending.STOPPED, why))
        self.over = reason
        self.commit()

    # ---- what becomes of trials ----

    def _current(self, trial: Trial) -> bool:
        """Whether this is the attempt that runs: an executor may have given it up, and it may not know."""
        progress = self._history.trials[trial.number]
        return progress.standing is Standing.RUNNING and progress.attempt == trial.attempt

    def _decide(self, trial: Trial, report: Report) -> tuple[Decision, str]:
        """What a report leads to, and who says so: the metric, the trial scheduler or the budget."""
        progress = self._history.trials[trial.number]
        diverged = report.not_finite()
        if diverged is not None:
            return Decision.stopped(diverged), "metric"
        if progress.repeats(report.step):
            return CONTINUE, "scheduler"  # as it was decided then, or the trial had ended
        told = replace(report, classes=None)  # as when it is told again from the events
        decision = self._scheduler.on_report(trial, told, self._record.score(report))
        decision = replace(decision, reason=conceal(decision.reason))
        if not decision.stop and report.step != trial.epochs:
            under_way = len(self._history.running) - 1 + report.step - progress.step
            spent = self.budget.spent(self._history, time.time(), under_way)
            if spent is not None:
                return Decision.stopped(spent), "budget"
        return decision, "scheduler"

    def _resolve(self, trial: Trial, outcome: Outcome) -> None:
        """End an attempt in the way that was decided, or else in the way that it ended by itself."""
        progress = self._history.trials[trial.number]
        decided = progress.decision
        if progress.diverged:
            outcome = _ended(outcome, Ending.FAILED, decided.reason)
        elif decided.stop:
            outcome = _ended(outcome, _ENDINGS[decided.verdict], decided.reason)
        elif trial.number in self._drained and outcome.ending in _OBEYED:
            outcome = _ended(outcome, Ending.INTERRUPTED)
        self._drained.discard(trial.number)
        self._end(trial, outcome)

    def _resolve_running(self) -> None:
        """End what runs as if it had been interrupted now, first trials first."""
        for number in sorted(self._history.running):
            self._resolve(self.trial(number), Outcome(Ending.INTERRUPTED))

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        """Pause, put back or close a trial."""
        progress = self._history.trials[trial.number]
        outcome = replace(outcome, reason=conceal(outcome.reason))
        if outcome.ending is Ending.PAUSED:
            return self._record.pause(trial, outcome)
        if outcome.ending is Ending.LOST:
            outcome = self._unless_lost_too_often(progress, outcome)
        if outcome.ending is Ending.COMPLETED and progress.best is None:
            nothing = f"it had nothing left to do after epoch {progress.step} and reported nothing"
            outcome = _ended(outcome, Ending.FAILED, nothing)
        if outcome.ending in (Ending.LOST, Ending.INTERRUPTED):
            if outcome.ending is Ending.INTERRUPTED and outcome.reason and self.draining is None:
                self.blocked = outcome.reason
                self.drain(outcome.reason)
            return self._record.put_back(trial, outcome)
        state, value = self._record.result(trial, outcome)
        self._proposer.tell(self._record.frozen(trial.number), state, value)
        self._record.close(trial, outcome)

    def _unless_lost_too_often(self, progress: Progress, outcome: Outcome) -> Outcome:
        bound = self.budget.max_attempts
        if progress.losses + 1 < bound:
            return outcome
        times = f"lost {bound} times, at last because: " if bound > 1 else ""
        reason = f"{times}{outcome.reason}"
        return replace(outcome, ending=Ending.FAILED, reason=reason)


def _ended(outcome: Outcome, ending: Ending, reason: str = "") -> Outcome:
    """An attempt's outcome as it was decided, with what was measured."""
    return replace(outcome, ending=ending, reason=reason, traceback="", out_of_memory=False)
