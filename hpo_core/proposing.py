"""Where the parameters of new trials come from: a sampler, somebody who enqueued them, or a trial that is cloned."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpo_core import options
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError
from hpo_core.sampling import SamplerContext, derive_seed, suggest, to_optuna
from hpo_core.scheduling import Clone
from hpo_core.space import Distribution, Scalar, Space
from hpo_core.spec import StudySpec
from hpo_core.storage.ledger import Ledger


class Proposer:
    """Makes trials in a ledger, and has a new sampler for each."""

    def __init__(self, spec: StudySpec, ledger: Ledger, catalog: Catalog) -> None:
        entry = catalog.entry("samplers", spec.sampler["name"])
        given = {key: value for key, value in spec.sampler.items() if key != "name"}
        self._name = spec.sampler["name"]
        self._build = entry.factory
        self._options = options.keywords(catalog, entry, given)
        self._seed = spec.seed
        self._ledger = ledger

    def propose(self, space: Space, shown: list[FrozenTrial]) -> FrozenTrial:
        """A new trial, running, whose parameters the sampler chose on seeing `shown`; or one that was enqueued.

        Raises SpaceExhausted, and HpoError when the sampler cannot propose.
        """
        number = self._next_number()
        seed = derive_seed(self._seed, number, "sampler")
        context = SamplerContext(seed, self._seed, number, space)
        mirror, study = self._ledger.mirror, self._ledger.study
        mirror.shown = shown
        try:
            study.sampler = self._build(context, **self._options)  # raises SpaceExhausted
            return self._ask(space, number)
        finally:
            mirror.shown = None

    def _next_number(self) -> int:
        """That of the first trial that somebody enqueued, which may lack parameters, or else a new one."""
        waiting = self._ledger.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return waiting[0].number if waiting else len(self._ledger.trials())

    def _ask(self, space: Space, number: int) -> FrozenTrial:
        try:
            asked = self._ledger.study.ask()
            number = asked.number  # one that was enqueued has had its own all along
            space.fill(lambda name, distribution: suggest(asked, name, distribution))
        except Exception as error:  # a sampler is a plugin, and enqueued trials come from anywhere
            said = f"{type(error).__name__}: {error}"
            raise HpoError(
                f"the sampler '{self._name}' could not propose trial {number}: {said}"
            ) from error
        return self._ledger.mirror.get_trial(asked._trial_id)

    def clone(self, space: Space, clone: Clone) -> FrozenTrial:
        """A new trial, running, with the parameters of a clone. Raises HpoError if the space does not hold them."""
        try:
            active = _active(space, clone.params)
        except ValueError as error:
            raise HpoError(
                f"a clone of trial {clone.parent} was given parameters that are not in the space: {error}"
            ) from error
        distributions = {name: to_optuna(each) for name, each in active.items()}
        trial_id = self._ledger.add_trial(clone.params, distributions)
        return self._ledger.mirror.get_trial(trial_id)

    def enqueue(self, params: Mapping[str, Scalar], attributes: Mapping[str, Any]) -> int:
        """A trial that waits to be run first, with these parameters and what the sampler adds to them; its number."""
        number = len(self._ledger.trials())
        self._ledger.study.enqueue_trial(dict(params), user_attrs=dict(attributes))
        return number

    def tell(self, frozen: FrozenTrial, state: TrialState, value: float | None) -> None:
        """What `optuna.Study.tell` does for samplers; it cannot be used, for it drops a pruned value."""
        study: optuna.Study = self._ledger.study
        study.sampler.after_trial(study, frozen, state, None if value is None else [value])

    def withdraw(self, started: Container[int]) -> list[int]:
        """Drop trials that an error or a signal kept from getting their parameters: nobody was told of them.

        The numbers of those that are stored already, because somebody enqueued them through Optuna.
        """
        return [
            frozen.number
            for frozen in self._ledger.trials()
            if frozen.state is TrialState.RUNNING
            and frozen.number not in started
            and not self._ledger.withdraw(frozen._trial_id)
        ]


def _active(space: Space, params: dict[str, Scalar]) -> dict[str, Distribution]:
    """The distributions of parameters that are exactly the active ones, each in its bounds. Raises ValueError."""
    active: dict[str, Distribution] = {}

    def given(path: str, distribution: Distribution) -> Any:
        active[path] = distribution
        if path not in params:
            raise ValueError(f"{path} is missing")
        optunas = to_optuna(distribution)
        if not optunas._contains(optunas.to_internal_repr(params[path])):
            raise ValueError(f"{path} cannot be {params[path]!r}")
        return params[path]

    space.fill(given)
    surplus = sorted(set(params) - set(active))
    if surplus:
        raise ValueError(f"{', '.join(surplus)} cannot be set with these choices")
    return active
