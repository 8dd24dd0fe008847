"""The trial scheduler `pbt`: population based training (Jaderberg et al., 2017, arXiv 1711.09846).

A population of trials trains side by side. Whenever a member is `ready` it is ranked among the population; a member
among the worst is given up and continues from a copy of one among the best, weights and optimizer state included
(`exploit`, by truncation selection), with changed parameters (`explore`, by perturbing or resampling each). So the
parameters become a schedule over the training. It needs an objective with checkpoints.

`population` is the number of members, `interval` the epochs between two times that a member is ready, `quantile` the
share of worst and of best members, `factors` what values are multiplied by, `resample` the probability with which a
value is drawn anew instead. `keep` are names of parameters that clones keep (with `*` for any text): what shapes the
weights must be the same for them to fit, and what the horizon of an LR scheduler or an optimizer's state hangs on too.

A member pauses when it is ready; the one with the fewest epochs goes on first. It is compared with all that have come
as far, at the same epoch: nobody waits for the others (section 3 of the paper). A clone is a trial of its own, with
`parent` and `parent_step`, and counts epochs from there. It takes the place of the member that is given up, which ends
as stopped. So with E epochs and an interval of I the study's budget should have room for about
`population * (1 + quantile * (E / I - 1))` trials; it trains about `population * E` epochs and is over when every
member has come to its end. When the budget has no more room nothing is cloned, and the members just go on.

All dice are thrown for one member at one epoch, from the study's seed and these two numbers.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from hpo_core import (
    CONTINUE,
    Clone,
    Decision,
    Ending,
    Next,
    Outcome,
    Report,
    Resume,
    Scalar,
    SchedulerContext,
    Start,
    Trial,
    TrialScheduler,
    Wait,
)
from hpo_search._exploration import Exploration
from hpo_search._horizon import at_end, shown

KEEP = ("epochs", "model", "model.*", "optimizer", "lr_scheduler")


@dataclass
class _Member:
    """A trial of the population: where it stands, and how often it was ready."""

    params: dict[str, Scalar]
    step: int
    generation: int
    paused: bool = False
    ended: bool = False  # it has trained its last epoch: there is nothing left for a clone


class Pbt(TrialScheduler):
    """Lets the worst members of a population go on as changed copies of the best."""

    def __init__(
        self,
        context: SchedulerContext,
        *,
        population: Annotated[int, Field(ge=2, description="members that train side by side")] = 8,
        interval: Annotated[int, Field(ge=1, description="epochs between comparisons")] = 1,
        quantile: Annotated[
            float, Field(gt=0, le=0.5, description="share of members replaced, and of those copied")
        ] = 0.25,
        factors: Annotated[
            list[Annotated[float, Field(gt=0)]],
            Field(min_length=1, description="a perturbed value is multiplied by one of these"),
        ] = [0.8, 1.2],  # noqa: B006  # never changed
        resample: Annotated[
            float, Field(ge=0, le=1, description="probability that a value is drawn anew instead")
        ] = 0.25,
        keep: Annotated[
            list[str], Field(description="parameters that clones keep; `*` stands for any text")
        ] = list(KEEP),  # noqa: B006  # never changed
    ) -> None:
        self._seed = context.seed
        self._population = population
        self._interval = interval
        self._quantile = quantile
        self._exploration = Exploration(context.space, factors, resample, keep)
        self._members: dict[int, _Member] = {}  # those that were neither replaced nor failed
        self._ready: dict[int, list[tuple[float, int]]] = {}  # (score, -number) by generation

    def on_start(self, trial: Trial) -> None:
        """Called when an attempt begins; a new trial or a clone becomes a member."""
        member = self._members.get(trial.number)
        if member is None:
            step = trial.parent_step
            self._members[trial.number] = _Member(trial.params, step, step // self._interval)
        else:
            member.paused = False

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        """Called after each report; a member is ready at the first one at or behind a multiple of the interval."""
        member = self._members[trial.number]
        member.step = report.step
        member.ended = at_end(trial, report)
        generation = report.step // self._interval
        if member.ended or generation <= member.generation:
            return CONTINUE
        member.generation = generation
        ranked = self._ready.setdefault(generation, [])
        insort(ranked, (score, -trial.number))
        rank = len(ranked) - bisect_left(ranked, (score, -trial.number))
        return Decision.paused(
            f"generation {generation}: {shown(trial, report)} is number {rank} of {len(ranked)} so far"
        )

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        """Called when an attempt has ended."""
        member = self._members[trial.number]
        member.paused = outcome.ending is Ending.PAUSED
        if outcome.ending is Ending.COMPLETED:
            member.ended = True
        elif not member.paused:
            del self._members[trial.number]

    def next(self, room: bool) -> Next:
        """A first member while some are missing, else the paused one with the fewest epochs, or its replacement."""
        if room and len(self._members) < self._population:
            return Start()
        paused = [
            (member.step, number) for number, member in self._members.items() if member.paused
        ]
        if not paused:
            return Wait()
        _, number = min(paused)
        return self._exploit(number, room)

    def _exploit(self, number: int, room: bool) -> Clone | Resume:
        """Truncation selection for one member."""
        member = self._members[number]
        ranked = [-other for _, other in self._ready[member.generation]]  # the worst first
        share = int(self._quantile * len(ranked))
        rank = len(ranked) - ranked.index(number)
        place = f"generation {member.generation}: number {rank} of {len(ranked)}"
        donors = [other for other in ranked[len(ranked) - share :] if self._alive(other)]
        if ranked.index(number) >= share or not donors or not room:
            return Resume(number, place)
        return self._clone(number, donors, place)

    def _clone(self, number: int, donors: list[int], place: str) -> Clone:
        from hpo_core.sampling import (
            derive_seed,
        )  # imports optuna, which a scheduler's module must not

        step = self._members[number].step
        dice = random.Random(derive_seed(self._seed, number, step, "pbt"))
        donor = dice.choice(donors)
        params, changes = self._exploration.explore(self._members[donor].params, dice)
        reason = (
            f"{place}, replaced by a copy of trial {donor}: {', '.join(changes) or 'unchanged'}"
        )
        return Clone(donor, params, reason, replaces=number)

    def _alive(self, number: int) -> bool:
        member = self._members.get(number)
        return member is not None and not member.ended
