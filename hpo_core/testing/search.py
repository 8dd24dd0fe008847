"""The contract suite for samplers: subclass it in a plugin's tests and say how to build yours.

::

    class TestRandom(SamplerContract):
        def sampler(self, context):
            return samplers.random(context)

What a sampler promises in the end: a study that was killed at any moment and continued goes on as if nothing had
happened. That is tried by copying a study's history up to each trial into a new study.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from hpo_core import sampling
from hpo_core.sampling import SamplerContext, derive_seed
from hpo_core.space import Choice, Distribution, Float, Scalar, Space

SPACES = {
    "flat": Space(
        {
            "lr": {"float": [1e-4, 1.0], "log": True},
            "momentum": {"float": [0.0, 0.95]},
            "dropout": {"float": [0.0, 0.35], "step": 0.1},  # the step does not end at 0.35
            "width": {"int": [1, 300], "log": True},
            "layers": {"int": [1, 8]},
            "batch": {"int": [16, 100], "step": 16},
            "mixed": {"choice": ["sgd", 2, 0.5, True, None]},
            "single": {"choice": ["only"]},
            "point": {"float": [0.1, 0.1]},
            "whole": {"int": [7, 7]},
            "fixed": 3,
        }
    ),
    "conditional": Space(
        {
            "optimizer": {
                "choice": [
                    {"name": "adamw", "beta": {"float": [0.8, 0.99]}},
                    {
                        "name": "sgd",
                        "momentum": {"float": [0.0, 0.95]},
                        "nesterov": {"choice": [True, False]},
                    },
                ]
            },
            "lr": {"float": [1e-4, 1.0], "log": True},
            "epochs": {"int": [1, 9]},
        }
    ),
    "choices": Space({"a": {"choice": ["x", "y"]}, "b": {"choice": [None, 1, 2]}}),
    "one point": Space({"a": {"float": [0.5, 0.5]}}),
    "empty": Space({"epochs": 3}),
}


@dataclass
class AskTell:
    """A study driven as the engine drives it: a new sampler for every trial.

    `past` holds, for each number of finished trials, the trials and the study's system attributes at that time.
    """

    build: Callable[[SamplerContext], optuna.samplers.BaseSampler]
    space: Space
    seed: int = 1
    past: list[tuple[list[FrozenTrial], dict[str, Any]]] = field(default_factory=list)
    study: optuna.Study = field(default_factory=lambda: optuna.create_study(direction="maximize"))

    def ask(self) -> tuple[optuna.Trial, dict[str, Scalar]]:
        """The next trial and what it proposes, by name."""
        number = len(self.study.get_trials(deepcopy=False))
        seed = derive_seed(self.seed, number, "sampler")
        self.study.sampler = self.build(SamplerContext(seed, self.seed, number, self.space))
        trial = self.study.ask()
        proposed: dict[str, Scalar] = {}

        def suggest(path: str, distribution: Distribution) -> Scalar:
            proposed[path] = sampling.suggest(trial, path, distribution)
            return proposed[path]

        self.space.fill(suggest)
        return trial, proposed

    def tell(self, trial: optuna.Trial, proposed: dict[str, Scalar], ending: TrialState) -> None:
        """End a trial with a value that depends on its parameters alone, if it gets one."""
        value = sum(math.sin(3 * float(x)) for x in proposed.values() if isinstance(x, int | float))
        trial.report(value / 2, 1)
        complete = ending is TrialState.COMPLETE
        self.study.tell(trial, value if complete else None, state=ending)

    def run(self, trials: int, endings: tuple[TrialState, ...]) -> list[dict[str, Scalar]]:
        """Ask and tell one after the other; the endings are taken in turns. What was proposed."""
        everything = []
        for number in range(trials):
            self.past.append(self._snapshot())
            trial, proposed = self.ask()
            self.tell(trial, proposed, endings[number % len(endings)])
            everything.append(proposed)
        return everything

    def continued(self, finished: int) -> AskTell:
        """The same study in another storage, as it stood after some trials."""
        trials, attributes = self.past[finished]
        other = AskTell(self.build, self.space, self.seed)
        other.study.add_trials(trials)
        for key, value in attributes.items():
            other.study._storage.set_study_system_attr(other.study._study_id, key, value)
        return other

    def _snapshot(self) -> tuple[list[FrozenTrial], dict[str, Any]]:
        attributes = self.study._storage.get_study_system_attrs(self.study._study_id)
        return self.study.get_trials(), copy.deepcopy(attributes)


MIXED = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SamplerContract:
    """What every sampler promises. Subclasses build theirs in `sampler`, ready to use its model within few trials."""

    trials = 12
    """Trials in a study: enough for the sampler to have left its first, random phase."""

    random = True
    """Whether another study seed must lead to other proposals."""

    def sampler(self, context: SamplerContext) -> optuna.samplers.BaseSampler:
        """Call the factory with the context and options of the subclass's choice."""
        raise NotImplementedError

    @pytest.mark.parametrize("name", SPACES)
    def test_proposals_lie_in_the_space(self, name: str) -> None:
        space = SPACES[name]
        for proposed in AskTell(self.sampler, space).run(self.trials, MIXED):
            assert proposed.keys() <= space.parameters().keys()
            for path, value in proposed.items():
                assert_within(space.parameters()[path], value)

    @pytest.mark.parametrize("name", ["flat", "conditional"])
    def test_a_study_continued_after_any_trial_proposes_the_same(self, name: str) -> None:
        whole = AskTell(self.sampler, SPACES[name])
        proposals = whole.run(self.trials, MIXED)
        for finished in reversed(
            range(self.trials)
        ):  # in order, a sampler that lives on would not be found out
            assert whole.continued(finished).ask()[1] == proposals[finished]

    def test_proposals_depend_on_the_seed_alone(self) -> None:
        random.seed(1), np.random.seed(1)
        first = AskTell(self.sampler, SPACES["conditional"]).run(self.trials, MIXED)
        random.seed(2), np.random.seed(2)
        assert AskTell(self.sampler, SPACES["conditional"]).run(self.trials, MIXED) == first

    def test_another_seed_proposes_otherwise(self) -> None:
        if not self.random:
            pytest.skip("this sampler is not random")
        one = AskTell(self.sampler, SPACES["flat"], seed=1).ask()[1]
        other = AskTell(self.sampler, SPACES["flat"], seed=2).ask()[1]
        assert one != other

    @pytest.mark.parametrize("ending", [TrialState.FAIL, TrialState.PRUNED])
    def test_a_study_without_a_success_goes_on(self, ending: TrialState) -> None:
        proposals = AskTell(self.sampler, SPACES["conditional"]).run(self.trials, (ending,))
        assert len(proposals) == self.trials

    def test_trials_may_run_side_by_side_and_end_in_any_order(self) -> None:
        session = AskTell(self.sampler, SPACES["conditional"])
        running = [session.ask() for _ in range(3)]
        for number in range(self.trials - 3):
            session.tell(*running.pop(number % 2), MIXED[number % len(MIXED)])
            running.append(session.ask())
        assert len(session.study.trials) == self.trials


def assert_within(distribution: Distribution, value: Scalar) -> None:
    """Fail unless a value is one that the distribution has, of the type that it has."""
    if isinstance(distribution, Choice):
        assert any(value == label and type(value) is type(label) for label in distribution.labels)
        return
    assert type(value) is (float if isinstance(distribution, Float) else int)
    assert distribution.low <= value <= distribution.high
    if distribution.step is not None:
        steps = (value - distribution.low) / distribution.step
        assert steps == pytest.approx(round(steps))
