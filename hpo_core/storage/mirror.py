"""Optuna's in-memory storage, remembering what was changed since the last commit.

Samplers read a study through it at the speed of memory; the ledger writes what it remembers to the database, many
changes in one transaction. Optuna's own database storage makes a transaction of every parameter and every report,
which is most of its 25 ms per trial.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

Keys = dict[tuple[int, Any], None]
"""An ordered set of (trial id, name, step or key)."""


@dataclass
class Changes:
    """What differs between the mirror and the database. Trial ids are the mirror's own."""

    created: dict[int, None] = field(default_factory=dict)
    updated: dict[int, None] = field(default_factory=dict)
    params: Keys = field(default_factory=dict)
    steps: Keys = field(default_factory=dict)
    user_attrs: Keys = field(default_factory=dict)
    system_attrs: Keys = field(default_factory=dict)
    study_user_attrs: dict[str, None] = field(default_factory=dict)
    study_system_attrs: dict[str, None] = field(default_factory=dict)


class MirrorStorage(InMemoryStorage):
    """One study in memory. `changes` is taken and replaced by the ledger when it has written them.

    `shown` is what a sampler is to believe: while it is set, whoever asks for the trials gets these instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes = Changes()
        self.shown: list[FrozenTrial] | None = None
        self._enqueued: dict[int, None] = {}  # ids of waiting trials that were never started

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """All trials, or those that are `shown`.

        Who asks for waiting ones alone is `optuna.Study.ask`, and it would run the first: it is given what was
        enqueued through Optuna, whatever is shown, and never a trial that waits because it is paused.
        """
        if states == (TrialState.WAITING,):
            queue = [self.get_trial(trial_id) for trial_id in self._enqueued]
            return copy.deepcopy(queue) if deepcopy else queue
        if self.shown is None:
            return super().get_all_trials(study_id, deepcopy, states)
        trials = [trial for trial in self.shown if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def adopt(self, study_id: int, trial: FrozenTrial) -> int:
        """Take a trial that is stored already, in the order of their numbers; its id here. It is not copied."""
        trial_id = self._max_trial_id = self._max_trial_id + 1
        trial._trial_id = trial_id
        self._trial_id_to_study_id_and_number[trial_id] = (study_id, trial.number)
        self._studies[study_id].trials.append(trial)
        self._update_cache(trial_id, study_id)
        self._note_enqueued(trial_id)
        return trial_id

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self.changes.created[trial_id] = None
        self._note_enqueued(trial_id)
        return trial_id

    def _note_enqueued(self, trial_id: int) -> None:
        trial = self.get_trial(trial_id)
        if trial.state is TrialState.WAITING and "attempt" not in trial.user_attrs:
            self._enqueued[trial_id] = None

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        self.changes.params[trial_id, param_name] = None

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)
        self._enqueued.pop(trial_id, None)
        self.changes.updated[trial_id] = None
        return changed

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self.changes.steps[trial_id, step] = None

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, value)
        self.changes.user_attrs[trial_id, key] = None

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, value)
        self.changes.system_attrs[trial_id, key] = None

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        super().set_study_user_attr(study_id, key, value)
        self.changes.study_user_attrs[key] = None

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        super().set_study_system_attr(study_id, key, value)
        self.changes.study_system_attrs[key] = None
