"""Contract suites for samplers and trial schedulers: subclass one in a plugin's tests and say how to build yours.

::

    class TestRandom(SamplerContract):
        def sampler(self, context):
            return samplers.random(context)

Both kinds promise the same in the end: a study that was killed at any moment and continued goes on as if nothing had
happened. For a sampler that is tried by copying a study's history up to each trial into a new study, for a trial
scheduler by replaying what it was told.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from hpo_core import sampling
from hpo_core.sampling import SamplerContext, derive_seed
from hpo_core.scheduling import Decision, TrialScheduler, Verdict
from hpo_core.space import Choice, Distribution, Float, Scalar, Space
from hpo_core.trial import Ending, Goal, Outcome, Report, Trial

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
                _assert_within(space.parameters()[path], value)

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


def _assert_within(distribution: Distribution, value: Scalar) -> None:
    if isinstance(distribution, Choice):
        assert any(value == label and type(value) is type(label) for label in distribution.labels)
        return
    assert type(value) is (float if isinstance(distribution, Float) else int)
    assert distribution.low <= value <= distribution.high
    if distribution.step is not None:
        steps = (value - distribution.low) / distribution.step
        assert steps == pytest.approx(round(steps))


@dataclass(frozen=True)
class Told:
    """One thing that a trial scheduler was told: a report with its score, or an outcome."""

    trial: Trial
    said: Report | Outcome
    score: float = 0.0

    def to(self, scheduler: TrialScheduler) -> Decision | None:
        """Tell it to a scheduler; what it decided, if there was something to decide."""
        if isinstance(self.said, Report):
            return scheduler.on_report(self.trial, self.said, self.score)
        scheduler.on_finish(self.trial, self.said)
        return None


@dataclass(frozen=True)
class Curves:
    """Simulated studies: what is minimised or maximised, epochs between reports, and whether trials know their end."""

    goal: Goal = "maximize"
    stride: int = 1
    known_end: bool = True
    flat: bool = False

    EPOCHS = 9
    TRIALS = 24
    WORKERS = 4

    def play(self, scheduler: TrialScheduler) -> list[tuple[Told, Decision | None]]:
        """Run all trials on a few workers, in a fixed order of reports; everything said and decided."""
        dice = random.Random(5)
        waiting = [self._trial(number) for number in range(self.TRIALS)]
        running: dict[int, tuple[Trial, int]] = {}
        log: list[tuple[Told, Decision | None]] = []
        while waiting or running:
            while waiting and len(running) < self.WORKERS:
                trial = waiting.pop(0)
                running[trial.number] = (trial, 0)
            trial, step = running[dice.choice(sorted(running))]
            step = min(step + self.stride, self.EPOCHS)
            told = self._report(trial, step)
            decision = told.to(scheduler)
            log.append((told, decision))
            running[trial.number] = (trial, step)
            outcome = self._outcome(trial, step, decision)
            if outcome is not None:
                del running[trial.number]
                log.append((Told(trial, outcome), Told(trial, outcome).to(scheduler)))
        return log

    def _trial(self, number: int) -> Trial:
        config = {"epochs": self.EPOCHS} if self.known_end else {}
        return Trial(number, 1, "simulated", {}, config, number, "metric", self.goal, "/nowhere")

    def _report(self, trial: Trial, step: int) -> Told:
        dice = random.Random(f"{trial.number}/{step}")
        quality = random.Random(f"{trial.number}").random()
        score = 0.5 if self.flat else quality * (1 - math.exp(-step / 3)) + dice.gauss(0, 0.02)
        metric = score if self.goal == "maximize" else -score
        return Told(trial, Report(step, {"metric": metric}, seconds=dice.random()), score)

    def _outcome(self, trial: Trial, step: int, decision: Decision | None) -> Outcome | None:
        if decision is not None and decision.verdict is Verdict.STOP:
            return Outcome(Ending.STOPPED, decision.reason)
        if trial.number % 7 == 5 and step >= 4:
            return Outcome(Ending.FAILED, "metric is nan at step 5")
        return Outcome(Ending.COMPLETED) if step == self.EPOCHS else None


CURVES = {
    "maximize": Curves(),
    "minimize, every second epoch": Curves("minimize", stride=2),
    "no known end, every third epoch": Curves(stride=3, known_end=False),
    "all alike": Curves(flat=True),
}


@pytest.mark.parametrize("curves", CURVES.values(), ids=CURVES)
class TrialSchedulerContract:
    """What every trial scheduler promises. Subclasses build a new one in `scheduler`."""

    def scheduler(self) -> TrialScheduler:
        """Call the factory with options of the subclass's choice."""
        raise NotImplementedError

    def test_it_decides_and_says_why(self, curves: Curves) -> None:
        scheduler = self.scheduler()
        assert isinstance(scheduler, TrialScheduler)
        for told, decision in curves.play(scheduler):
            if isinstance(told.said, Outcome):
                assert decision is None
                continue
            assert isinstance(decision, Decision)
            assert bool(decision.reason.strip()) == decision.stop
            assert "\n" not in decision.reason

    def test_a_replay_decides_the_same(self, curves: Curves) -> None:
        log = curves.play(self.scheduler())
        continued = self.scheduler()
        assert [told.to(continued) for told, _ in log] == [decision for _, decision in log]

    def test_a_trial_may_finish_its_last_epoch(self, curves: Curves) -> None:
        for told, decision in curves.play(self.scheduler()):
            if isinstance(told.said, Report) and told.said.step == told.trial.epochs:
                assert decision is not None
                assert not decision.stop

    def test_it_has_no_clock_and_no_dice(
        self, curves: Curves, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = curves.play(self.scheduler())
        other = self.scheduler()
        with monkeypatch.context() as patch:
            for clock in ("time", "monotonic", "perf_counter"):
                patch.setattr(time, clock, _forbidden)
            random.seed(2), np.random.seed(2)
            before = random.getstate()
            decisions = [told.to(other) for told, _ in log]
            assert random.getstate() == before
        assert decisions == [decision for _, decision in log]


def _forbidden() -> float:
    raise AssertionError("a trial scheduler has no clock: reports are all it may go by")
