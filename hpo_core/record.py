"""The record of a study: every step that a trial can take, written the same way to all who keep track of it.

A step goes to the ledger (as Optuna's state and attributes, and as an event), to the history, to the trial scheduler,
to what samplers are shown and to the checkpoints that are kept. `Study` decides which steps are taken. A driver that
continues a study takes the stored steps again (`replay`), and ends up where the last one was.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo_core import addresses
from hpo_core.evidence import Evidence
from hpo_core.faults import point
from hpo_core.history import History, Progress
from hpo_core.retention import Retention, located
from hpo_core.sampling import derive_seed, to_optuna
from hpo_core.scheduling import Decision, TrialScheduler
from hpo_core.space import Space
from hpo_core.spec import StudySpec
from hpo_core.storage.ledger import Ledger
from hpo_core.storage.loading import uncollected
from hpo_core.trial import Checkpoint, Ending, Event, Outcome, Report, Trial

_STATES = {
    Ending.COMPLETED: TrialState.COMPLETE,
    Ending.STOPPED: TrialState.PRUNED,
    Ending.FAILED: TrialState.FAIL,
}

PROFILE = "profile"
"""The user attribute of a trial that was enqueued with the values of a component's profile: whose."""

OURS = frozenset(
    "profile attempt steps seconds reason best_step checkpoint checkpoint_step parent parent_step "
    "peak_memory peak_gpu_memory gpu_utilization dataset_root dataset_version".split()
)
"""User attributes with a meaning of their own: a metric of such a name stays in the events and the metrics' table."""

DATA = ("dataset_root", "dataset_version")
"""Those that say which version of a dataset's files a trial learns from, where its last attempt began with one."""

DataOf = Callable[[str, Mapping[str, Any]], "dict[str, str] | None"]
"""Tells these of an objective and its options; None where nothing is known."""

CLASSES = 20
"""With more classes than that, none becomes an attribute of a trial."""

_FOLDER = "hpo:checkpoints"
"""The attribute of a study that names its folder where all studies keep their checkpoints."""

_NULLABLE = frozenset(["value", "best_trial", "best_value", "best_params", "epochs", "target"])
"""What an event says even if there is none: scripts find these keys in every event of their kind."""


class Record:
    """Takes steps. `score` turns a report into the study's metric so that higher is better."""

    def __init__(
        self,
        spec: StudySpec,
        ledger: Ledger,
        scheduler: TrialScheduler,
        code_path: list[str] | None,
        discard: Callable[[Checkpoint], None],
        data_of: DataOf,
    ) -> None:
        self.spec = spec
        self.space: Space = spec.space
        self.store = None if spec.checkpoints is None else _store(spec.checkpoints, spec, ledger)
        self._folder = str(Path(spec.directory, spec.study, "trials"))
        self.history = History(self.score, self._located)
        distributions = self.space.parameters().items()
        self.evidence = Evidence({name: to_optuna(each) for name, each in distributions})
        self.retention = Retention(spec.keep, self.score)
        self.scheduler = scheduler
        self._ledger = ledger
        self._code_path = code_path
        self._discard = discard
        self._data_of = data_of
        self._ids: dict[int, int] = {}  # a trial's number -> its id in the ledger
        self._lead = -math.inf  # the best score of a finished trial

    def score(self, report: Report) -> float:
        """The study's metric, turned so that higher is better."""
        value = report.metrics[self.spec.metric]
        return value if self.spec.goal == "maximize" else -value

    def frozen(self, number: int) -> FrozenTrial:
        """A trial as Optuna knows it."""
        return self._ledger.mirror.get_trial(self._ids[number])

    def trial(self, number: int) -> Trial:
        """The last attempt at a trial, as it was given to its worker."""
        return self._trial(self.frozen(number), self.history.trials[number])

    def unsettled(self) -> list[FrozenTrial]:
        """Running trials, and those that somebody enqueued through Optuna, as they are now."""
        running = self.history.running
        enqueued = self._ledger.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        found = [*map(self.frozen, running), *enqueued]
        return sorted(found, key=lambda frozen: frozen.number)

    # ---- steps ----

    def start(self, frozen: FrozenTrial, **data: Any) -> Trial:
        """Begin an attempt at a trial whose parameters are in the ledger; `data` says why."""
        mirror, trial_id = self._ledger.mirror, frozen._trial_id
        self._ids[frozen.number] = trial_id
        if frozen.state is TrialState.WAITING:
            mirror.set_trial_state_values(trial_id, TrialState.RUNNING)
        attempt = frozen.user_attrs.get("attempt", 0) + 1
        config = self._config(frozen)
        learns_from = self._data_of(self.spec.objective["name"], config)
        marks = {"attempt": attempt} | {k: data[k] for k in ("parent", "parent_step") if k in data}
        marks |= learns_from or dict.fromkeys(k for k in DATA if k in frozen.user_attrs)
        for key, value in marks.items():
            mirror.set_trial_user_attr(trial_id, key, value)
        epochs = config.get("epochs")
        self.note(
            "trial_started",
            frozen.number,
            attempt=attempt,
            params=dict(frozen.params),
            epochs=epochs if isinstance(epochs, int) else None,
            data=learns_from,
            **data,
        )
        self.evidence.update(self.frozen(frozen.number), self.history.trials[frozen.number])
        self.retention.update(self.history.trials[frozen.number])
        trial = self.trial(frozen.number)
        self.scheduler.on_start(trial)
        return trial

    def report(self, trial: Trial, report: Report, decision: Decision, by: str) -> None:
        """A trial has reported, and this was decided by the metric, the trial scheduler or the budget."""
        progress = self.history.trials[trial.number]
        value = report.metrics[trial.metric]
        mirror, trial_id = self._ledger.mirror, self._ids[trial.number]
        mirror.set_trial_intermediate_value(trial_id, report.step, value)
        self._ledger.record_metrics(trial.number, trial.attempt, report)
        saved = report.checkpoint
        self.note(
            "report",
            trial.number,
            attempt=trial.attempt,
            step=report.step,
            metrics=report.metrics,
            value=value,
            seconds=round(report.seconds, 4),
            decision=decision.verdict.value,
            reason=decision.reason,
            by=by,
            repeated=progress.repeats(report.step) or None,
            checkpoint=None if saved is None else saved.to_json(),
        )
        if saved is not None:
            self.retention.saved(saved)
            self.retention.update(progress)
        self.evidence.update(self.frozen(trial.number), progress)

    def pause(self, trial: Trial, outcome: Outcome) -> None:
        """An attempt has ended so that the trial scheduler may resume its trial."""
        self._wait("trial_paused", trial, outcome)
        self.evidence.update(self.frozen(trial.number), self.history.trials[trial.number])
        self.scheduler.on_finish(trial, outcome)

    def put_back(self, trial: Trial, outcome: Outcome) -> None:
        """An attempt was lost or interrupted: its trial runs again as soon as there is room."""
        lost = outcome.ending is Ending.LOST
        self._wait("trial_lost" if lost else "trial_interrupted", trial, outcome)

    def result(self, trial: Trial, outcome: Outcome) -> tuple[TrialState, float | None]:
        """The state and the value of a trial that ends like this: the best one that it reported, unless it failed."""
        state, best = _STATES[outcome.ending], self.history.trials[trial.number].best
        failed = state is TrialState.FAIL or best is None
        return state, None if failed or best is None else best.metrics[trial.metric]

    def close(self, trial: Trial, outcome: Outcome) -> None:
        """A trial is finished: what it gets now never changes again."""
        mirror, trial_id = self._ledger.mirror, self._ids[trial.number]
        progress = self.history.trials[trial.number]
        state, value = self.result(trial, outcome)
        attributes = _attributes(trial, progress, outcome, value)
        if value is not None and progress.best_score >= self._lead:
            attributes = self._per_class(progress) | attributes
        for key, attribute in attributes.items():
            mirror.set_trial_user_attr(trial_id, key, attribute)
        mirror.set_trial_state_values(trial_id, state, None if value is None else [value])
        self.note(
            "trial_finished",
            trial.number,
            attempt=trial.attempt,
            state=state.name.lower(),
            ending=outcome.ending.value,
            value=value,
            reason=outcome.reason,
            steps=progress.step,
            seconds=round(progress.seconds, 3),
            **_measured(outcome),
        )
        self._settle(progress)
        self.scheduler.on_finish(trial, outcome)

    def refuse(self, number: int, reason: str) -> None:
        """Close a trial that was enqueued and cannot be started: it counts as failed."""
        mirror, trial_id = self._ledger.mirror, self._ledger.trials()[number]._trial_id
        self._ids[number] = trial_id
        mirror.set_trial_user_attr(trial_id, "reason", reason)
        mirror.set_trial_state_values(trial_id, TrialState.FAIL)
        self.note(
            "trial_finished",
            number,
            attempt=0,
            state="fail",
            ending=Ending.FAILED.value,
            value=None,
            reason=reason,
            steps=0,
            seconds=0.0,
        )

    def note(self, kind: str, number: int | None, /, **data: Any) -> None:
        """Add an event; the next commit stores and tells it."""
        said = {key: item for key, item in data.items() if item is not None or key in _NULLABLE}
        self.history.apply(self._ledger.record(kind, number, **said))

    def commit(self, observers: Iterable[Callable[[Event], None]]) -> None:
        """Make every step so far durable, tell it, and delete the checkpoints that nobody needs any more."""
        for event in self._ledger.commit():
            for observer in observers:
                observer(event)
        for checkpoint in self.retention.release(self.history):
            point("checkpoint.delete")
            try:
                self._discard(checkpoint)
            except OSError as error:
                reason = f"cannot delete {checkpoint.path}: {error.strerror or error}"
                self.note("warning", None, reason=reason)

    # ---- the stored steps again ----

    def replay(self) -> None:
        """Take every stored step into account, and tell the trial scheduler what it was told."""
        with uncollected():
            self._replay()

    def _replay(self) -> None:
        frozen = self._ledger.trials()
        self._ids = {trial.number: trial._trial_id for trial in frozen}
        current: dict[int, Trial] = {}
        for event in self._ledger.events():
            self.history.apply(event)
            number, data = event.trial, event.data
            if number is None:
                continue
            progress = self.history.trials[number]
            if event.kind == "trial_started":
                current[number] = self._trial(frozen[number], progress)
                self.scheduler.on_start(current[number])
            elif event.kind == "report" and data["by"] != "metric" and "repeated" not in data:
                report = progress.reports[data["step"]]
                self.scheduler.on_report(current[number], report, self.score(report))
            elif event.kind in ("trial_paused", "trial_finished"):
                if event.kind == "trial_finished":
                    self._settle(progress)
                ending = Ending(data.get("ending", "paused"))
                if number in current:  # or it was refused
                    self.scheduler.on_finish(current[number], Outcome(ending, data["reason"]))
        for number, progress in self.history.unfinished.items():
            self.evidence.update(frozen[number], progress)
            self.retention.update(progress)
        for trial in frozen:
            if trial.state.is_finished() and trial.number not in self.history.trials:
                self.history.adopt(trial.number)
                self.evidence.update(trial, self.history.trials[trial.number])
        self.retention.release(self.history)
        self.history.rest()

    # ---- inside ----

    def _wait(self, kind: str, trial: Trial, outcome: Outcome) -> None:
        """An attempt has ended and its trial has not."""
        mirror, trial_id = self._ledger.mirror, self._ids[trial.number]
        mirror.set_trial_state_values(trial_id, TrialState.WAITING)
        if "fixed_params" not in mirror.get_trial(trial_id).system_attrs:  # what dashboards show
            mirror.set_trial_system_attr(trial_id, "fixed_params", dict(trial.params))
        self.note(
            kind,
            trial.number,
            attempt=trial.attempt,
            steps=self.history.trials[trial.number].step,
            reason=outcome.reason,
            **_measured(outcome),
        )

    def _settle(self, progress: Progress) -> None:
        """What follows for samplers and checkpoints when a trial is finished."""
        frozen = self.frozen(progress.number)
        if frozen.state is not TrialState.FAIL:
            self._lead = max(self._lead, progress.best_score)
        self.retention.finished(progress, frozen.state is not TrialState.FAIL)
        self.evidence.update(frozen, progress)

    def _per_class(self, progress: Progress) -> dict[str, float]:
        """The accuracy on each class at a trial's best epoch; nothing where there are many classes, or none.

        Only a trial that is the best so far has them among its attributes: the best one of the study is one of these,
        and what a trial has got when it finished never changes. A dashboard with a column for each class of each trial
        is of no use to anybody.
        """
        assert progress.best is not None  # which gave it a value
        report = self._ledger.class_report(progress.number, progress.best.step)
        if report is None or len(report.classes) > CLASSES:
            return {}
        return {
            f"acc/{name}": round(recall, 6)
            for name, recall in zip(report.labels(), report.recall, strict=True)
        }

    def _located(self, path: str) -> str:
        """Where a checkpoint of this study lies: `--fresh` has renamed its folder, or it was moved by hand.

        What lies under the old path may be another study's by now.
        """
        return located(path, self._folder)

    def _config(self, frozen: FrozenTrial) -> dict[str, Any]:
        return self.space.fill(lambda name, _: frozen.params[name])

    def _trial(self, frozen: FrozenTrial, progress: Progress) -> Trial:
        """The value that a worker needs, from what the ledger and the history know."""
        spec = self.spec
        return Trial(
            number=frozen.number,
            attempt=progress.attempt,
            objective=spec.objective["name"],
            params=dict(frozen.params),
            config=self._config(frozen),
            seed=derive_seed(spec.seed, frozen.number, "trial"),
            metric=spec.metric,
            goal=spec.goal,
            directory=f"{self._folder}/{frozen.number:04d}/attempt-{progress.attempt}",
            code_path=self._code_path,
            checkpoints=tuple(self.retention.kept(progress)),
            parent=progress.parent,
            parent_step=progress.first,
            out_of_memory=progress.out_of_memory,
            saves_to=None
            if self.store is None
            else f"{self.store}/{frozen.number:04d}/attempt-{progress.attempt}",
        )


def _store(checkpoints: str, spec: StudySpec, ledger: Ledger) -> str:
    """The address of the study's own folder among its checkpoints.

    The folder's name is made once and kept with the study, whatever it is renamed to: two studies of one name, in two
    databases or after `--fresh`, do not share it, and where nothing can be renamed nothing has to be.
    """
    mirror, study = ledger.mirror, ledger.study._study_id
    if _FOLDER not in mirror.get_study_system_attrs(study):
        name = f"{spec.study}-{uuid.uuid4().hex[:12]}"
        mirror.set_study_system_attr(study, _FOLDER, name)  # the next commit stores it
    return addresses.root(checkpoints, mirror.get_study_system_attrs(study)[_FOLDER])


def _measured(outcome: Outcome) -> dict[str, Any]:
    """What an event says of the memory and the GPU that an attempt used; None where it is not known."""
    busy = outcome.gpu_utilization
    return {
        "peak_memory": outcome.peak_memory,
        "peak_gpu_memory": outcome.peak_gpu_memory,
        "gpu_utilization": None if busy is None else round(busy, 1),
        "out_of_memory": outcome.out_of_memory or None,
    }


def _attributes(
    trial: Trial, progress: Progress, outcome: Outcome, value: float | None
) -> dict[str, Any]:
    """The user attributes of a finished trial."""
    best, saved = progress.best, progress.saved
    found: dict[str, Any] = {"steps": progress.step, "seconds": round(progress.seconds, 3)}
    if outcome.reason:
        found["reason"] = outcome.reason
    measured = _measured(outcome)
    for name in ("peak_memory", "peak_gpu_memory"):  # of all attempts
        measured[name] = max(measured[name] or 0, getattr(progress, name) or 0) or None
    for name in ("peak_memory", "peak_gpu_memory", "gpu_utilization"):
        if measured[name] is not None:
            found[name] = measured[name]
    if value is None or best is None:
        return found
    found["best_step"] = best.step
    if saved is not None and saved.checkpoint is not None:
        found |= {"checkpoint": saved.checkpoint.path, "checkpoint_step": saved.step}
    others = {name: number for name, number in best.metrics.items() if name not in OURS}
    others.pop(trial.metric, None)
    return found | others
