"""The trial scheduler `delayed-asha`: the contract, and that it promotes one in eta whatever the sampler does."""

from __future__ import annotations

from hpo_search.asha_promotion import AshaPromotion
from hpo_search.delayed_asha import DelayedAsha

from hpo_core import (
    Ending,
    Outcome,
    Report,
    Resume,
    SchedulerContext,
    Start,
    Trial,
    TrialScheduler,
    Verdict,
)
from hpo_core.testing.scheduling import TrialSchedulerContract

CONTEXT = SchedulerContext()
PAUSED, FAILED = Outcome(Ending.PAUSED), Outcome(Ending.FAILED)


class TestDelayedAsha(TrialSchedulerContract):
    def scheduler(self, context: SchedulerContext) -> TrialScheduler:
        return DelayedAsha(context, min_epochs=1, reduction_factor=2)


def trial(number: int) -> Trial:
    config = {"epochs": 32}
    return Trial(number, 1, "simulated", {}, config, 0, "metric", "maximize", "/nowhere")


def run(scheduler: TrialScheduler, number: int, step: int, value: float) -> None:
    """One attempt that reports once and pauses."""
    scheduler.on_start(trial(number))
    decision = scheduler.on_report(trial(number), Report(step, {"metric": value}), value)
    assert decision.verdict is Verdict.PAUSE
    scheduler.on_finish(trial(number), PAUSED)


def promoted(scheduler: TrialScheduler, trials: int) -> list[int]:
    """Who leaves the first rung, if every trial there is better than all before."""
    numbers = []
    for number in range(trials):
        run(scheduler, number, 1, number / trials)
        while isinstance(answer := scheduler.next(True), Resume):
            scheduler.on_start(trial(answer.number))  # and is not heard of again
            numbers.append(answer.number)
        assert answer == Start()
    return numbers


def test_one_in_eta_is_promoted_where_every_trial_beats_all_before() -> None:
    assert promoted(DelayedAsha(CONTEXT, min_epochs=1, reduction_factor=4), 16) == [3, 7, 11, 15]
    eager = promoted(AshaPromotion(CONTEXT, min_epochs=1, reduction_factor=4), 16)
    assert eager == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]


def test_promotions_that_are_due_are_made_up_for_with_the_best_that_wait() -> None:
    asha = DelayedAsha(CONTEXT, min_epochs=1, reduction_factor=2)
    for number in range(6):
        run(asha, number, 1, -number / 10)
    assert [next_promotion(asha) for _ in range(4)] == [0, 1, 2, None]


def test_a_promoted_trial_that_fails_makes_room_for_another() -> None:
    asha = DelayedAsha(CONTEXT, min_epochs=1, reduction_factor=2)
    for number in range(3):
        run(asha, number, 1, -number / 10)
    assert [next_promotion(asha), next_promotion(asha)] == [0, None]
    asha.on_finish(trial(0), FAILED)
    assert [next_promotion(asha), next_promotion(asha)] == [1, None]


def next_promotion(scheduler: TrialScheduler) -> int | None:
    answer = scheduler.next(False)
    if not isinstance(answer, Resume):
        return None
    scheduler.on_start(trial(answer.number))
    return answer.number
