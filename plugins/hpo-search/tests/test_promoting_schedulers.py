"""Trial schedulers with rungs and pauses, beside hand-worked examples and direct readings of the papers."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hpo_search.asha_promotion import AshaPromotion
from hpo_search.bohb import Bohb
from hpo_search.hyperband import Hyperband
from hpo_search.one_epoch_top_k import OneEpochTopK
from hpo_search.pasha import Noise, Pasha, Rankings, crossed_distance

from hpo_core import (
    Decision,
    Ending,
    Outcome,
    Report,
    Resume,
    SchedulerContext,
    Space,
    Start,
    Trial,
    TrialScheduler,
    Verdict,
    Wait,
)

CONTEXT = SchedulerContext()
PAUSED, FAILED = Outcome(Ending.PAUSED), Outcome(Ending.FAILED)


def trial(number: int, epochs: int | None = 27, attempt: int = 1) -> Trial:
    config: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    return Trial(number, attempt, "simulated", {}, config, 0, "metric", "maximize", "/nowhere")


def tell(scheduler: TrialScheduler, of: Trial, step: int, value: float) -> Decision:
    return scheduler.on_report(of, Report(step, {"metric": value}), value)


def run(scheduler: TrialScheduler, number: int, step: int, value: float) -> Decision:
    """One attempt that reports once, and pauses if it is told to."""
    scheduler.on_start(trial(number))
    decision = tell(scheduler, trial(number), step, value)
    if decision.verdict is Verdict.PAUSE:
        scheduler.on_finish(trial(number), PAUSED)
    return decision


def promotions(scheduler: TrialScheduler) -> list[int]:
    """Obey until there is nothing to resume; the numbers in order. They are not heard of again."""
    numbers = []
    while isinstance(answer := scheduler.next(False), Resume):
        scheduler.on_start(trial(answer.number))
        numbers.append(answer.number)
    return numbers


def test_promotion_by_hand() -> None:
    asha = AshaPromotion(CONTEXT, reduction_factor=3)
    for number, value in enumerate([0.5, 0.4]):
        decision = run(asha, number, 1, value)
        assert decision.verdict is Verdict.PAUSE
    assert decision.reason == "rung 1: 0.4 is number 2 of 2, and one in 3 goes on"
    assert asha.next(True) == Start()  # a third of two is none
    assert asha.next(False) == Wait()
    run(asha, 2, 1, 0.3)
    assert asha.next(True) == Resume(0, "rung 1: among the best 1 of 3")
    asha.on_start(trial(0))
    assert asha.next(True) == Start()
    for number, value in enumerate([0.9, 0.8, 0.1], 3):
        run(asha, number, 1, value)
    # of six the best two are 3 and 4; that 0 was promoted before takes no place from them
    assert promotions(asha) == [3, 4]
    assert asha.next(True) == Start()


def test_promotion_looks_at_the_highest_rung_first() -> None:
    asha = AshaPromotion(CONTEXT, reduction_factor=2)
    for number in range(4):
        run(asha, number, 1, number / 10)
    for number in (3, 2):
        run(asha, number, 2, number / 10)
    run(asha, 4, 1, 0.9)
    run(asha, 5, 1, 0.8)
    assert asha.next(True) == Resume(3, "rung 2: among the best 1 of 2")


def test_a_trial_is_not_resumed_before_its_worker_has_saved_it() -> None:
    asha = AshaPromotion(CONTEXT, reduction_factor=2)
    run(asha, 0, 1, 0.1)
    asha.on_start(trial(1))
    assert tell(asha, trial(1), 1, 0.9).verdict is Verdict.PAUSE
    assert asha.next(False) == Wait()
    asha.on_finish(trial(1), PAUSED)
    assert isinstance(asha.next(False), Resume)


def test_a_trial_whose_worker_was_lost_while_pausing_pauses_at_its_next_report() -> None:
    asha = AshaPromotion(CONTEXT, reduction_factor=3)
    asha.on_start(trial(0))
    tell(asha, trial(0), 1, 0.5)
    asha.on_start(trial(0, attempt=2))  # epoch 1 is repeated, and not told
    assert tell(asha, trial(0), 2, 0.5).verdict is Verdict.PAUSE
    asha.on_finish(trial(0), PAUSED)
    for number in (1, 2):
        run(asha, number, 1, 0.1)
    assert asha.next(False) == Resume(0, "rung 1: among the best 1 of 3")


def test_a_failed_trial_gives_its_place_to_the_next_best() -> None:
    asha = AshaPromotion(CONTEXT, reduction_factor=2)
    for number in range(5):
        run(asha, number, 1, number / 10)
    assert promotions(asha) == [4, 3]
    asha.on_finish(trial(4), FAILED)  # four are left in the rung, and the best two are 3 and 2
    assert promotions(asha) == [2]


def test_a_trial_that_ended_while_paused_is_not_resumed() -> None:
    asha = AshaPromotion(CONTEXT, reduction_factor=2)
    for number in range(4):
        run(asha, number, 1, number / 10)
    asha.on_finish(trial(3), Outcome(Ending.STOPPED))
    assert promotions(asha) == [2]


def test_there_is_no_rung_at_the_end_of_a_trial() -> None:
    asha = AshaPromotion(CONTEXT, reduction_factor=3)
    asha.on_start(trial(0, epochs=9))
    assert tell(asha, trial(0, epochs=9), 9, 0.5).verdict is Verdict.CONTINUE
    limited = AshaPromotion(CONTEXT, reduction_factor=3, max_epochs=9)
    assert run(limited, 0, 9, 0.5).verdict is Verdict.CONTINUE


class AlgorithmTwo:
    """`get_job` of Li et al. (2018), read line by line: nothing is remembered but scores and promotions."""

    def __init__(self, eta: int) -> None:
        self.eta = eta
        self.rungs: dict[int, dict[int, float]] = {}
        self.promoted: dict[int, set[int]] = {}
        self.saved: set[int] = set()

    def get_job(self) -> int | None:
        for k in sorted(self.rungs, reverse=True):
            ranked = sorted(self.rungs[k], key=lambda number: (-self.rungs[k][number], number))
            candidates = ranked[: len(ranked) // self.eta]
            for number in candidates:
                if number not in self.promoted.setdefault(k, set()) and number in self.saved:
                    return number
        return None


@pytest.mark.parametrize("seed", range(5))
def test_promotion_is_algorithm_two(seed: int) -> None:
    dice = random.Random(seed)
    eta, epochs, started = 3, 27, 0
    asha, paper = AshaPromotion(CONTEXT, reduction_factor=eta), AlgorithmTwo(eta)
    running: dict[int, int] = {}  # rung that each trial is on its way to
    saving: list[int] = []
    for _ in range(600):
        action = dice.random()
        if action < 0.4 and len(running) < 6:
            answer = asha.next(started < 150)
            expected = paper.get_job()
            if expected is None:
                assert answer == (Start() if started < 150 else Wait())
                if isinstance(answer, Wait):
                    continue
                asha.on_start(trial(started))
                running[started] = 1
                started += 1
            else:
                assert isinstance(answer, Resume) and answer.number == expected
                at = max(k for k, rung in paper.rungs.items() if expected in rung)
                paper.promoted[at].add(expected)
                paper.saved.discard(expected)
                asha.on_start(trial(expected))
                running[expected] = at * eta
        elif action < 0.8 and running:
            number = dice.choice(sorted(running))
            rung = running.pop(number)
            score = round(dice.random(), 2)  # with equals among them
            decision = tell(asha, trial(number), rung, score)
            assert decision.stop == (rung < epochs)
            if rung < epochs:
                paper.rungs.setdefault(rung, {})[number] = score
                saving.append(number)
            else:
                asha.on_finish(trial(number), Outcome(Ending.COMPLETED))
        elif saving:
            number = saving.pop(dice.randrange(len(saving)))
            asha.on_finish(trial(number), PAUSED)
            paper.saved.add(number)
    assert {1, 3, 9} <= set(paper.rungs)  # it got that far


def test_brackets_begin_later_and_get_the_share_of_the_paper() -> None:
    hyperband = Hyperband(SchedulerContext(seed=3), reduction_factor=3)
    # R = 27: s_max = 3, n = ceil(4/4 * 27), ceil(4/3 * 9), ceil(4/2 * 3), ceil(4/1)
    assert hyperband._sizes(27) == [27, 12, 6, 4]
    assert hyperband._sizes(26) == [9, 5, 3]
    chosen = Counter(hyperband._choose(trial(number)) for number in range(4900))
    assert [round(chosen[bracket] / 100) for bracket in range(4)] == pytest.approx(
        [27, 12, 6, 4], abs=1
    )
    other = Hyperband(SchedulerContext(seed=4))
    assert any(hyperband._choose(trial(n)) != other._choose(trial(n)) for n in range(20))


def test_as_many_brackets_as_wanted_and_one_where_the_end_is_unknown() -> None:
    assert Hyperband(CONTEXT, brackets=2)._sizes(27) == [27, 12]
    assert Hyperband(CONTEXT, brackets=9)._sizes(27) == [27, 12, 6, 4]
    assert Hyperband(CONTEXT)._sizes(None) == [1]
    assert Hyperband(CONTEXT, brackets=3)._sizes(None) == [9, 5, 3]


def test_trials_are_compared_within_their_bracket() -> None:
    hyperband = Hyperband(CONTEXT)
    members = [trial(number) for number in range(60)]
    early = [member for member in members if hyperband._choose(member) == 0]
    late = [member for member in members if hyperband._choose(member) == 1]
    assert not tell(hyperband, early[0], 1, 0.9).stop
    assert not tell(hyperband, late[0], 1, 0.1).stop  # its first rung is at 3
    decision = tell(hyperband, early[1], 1, 0.1)
    assert decision.reason == "bracket 0, rung 1: 0.1 is not among the best of 2"
    assert not tell(hyperband, late[0], 3, 0.2).stop
    assert tell(hyperband, late[1], 3, 0.1).reason.startswith("bracket 1, rung 3:")


def test_hyperband_promotes_from_the_highest_rung_of_all_brackets() -> None:
    hyperband = Hyperband(CONTEXT, reduction_factor=2, variant="promotion", brackets=2)
    members = [trial(number) for number in range(60)]
    early = [member.number for member in members if hyperband._choose(member) == 0][:2]
    late = [member.number for member in members if hyperband._choose(member) == 1][:2]
    for number in early:
        run(hyperband, number, 1, 0.9)
    for number in late:
        run(hyperband, number, 2, 0.1)
    answer = hyperband.next(True)
    assert answer == Resume(late[0], "bracket 1, rung 2: among the best 1 of 2")


def test_bohb_learns_from_the_highest_rung_with_enough_results() -> None:
    space = Space({"a": {"float": [0, 1]}, "b": {"float": [0, 1]}})
    bohb = Bohb(SchedulerContext(0, space))  # d = 2, N_min = 3: five results
    for number in range(4):
        tell(bohb, trial(number), 1, 0.9)
        tell(bohb, trial(number), 3, 0.9)
    assert bohb.fidelity() == 1  # no rung has five: the first one
    for number in range(5):
        tell(bohb, trial(10 + number), 3, 0.9)
        assert bohb.fidelity() == 3
    for number in range(5):
        assert bohb.fidelity() == 3
        tell(bohb, trial(number), 27, 0.9)  # their last epoch
    assert bohb.fidelity() == 27


def test_bohb_counts_a_trial_once_at_a_rung() -> None:
    bohb = Bohb(CONTEXT, min_points=1)
    for step in range(1, 9):
        tell(bohb, trial(0), step, 0.9)
    assert bohb.fidelity() == 1


def arrive(pasha: Pasha, values: dict[int, list[float]]) -> None:
    """Trials that report every epoch, one after the other, and are always promoted."""
    for number, curve in values.items():
        pasha.on_start(trial(number))
        for step, value in enumerate(curve, 1):
            if tell(pasha, trial(number), step, value).stop:
                pasha.on_finish(trial(number), PAUSED)
                pasha.on_start(trial(number))


def test_pasha_does_not_go_beyond_the_second_rung_while_the_ranking_stands() -> None:
    pasha = Pasha(CONTEXT, reduction_factor=2)
    arrive(pasha, {number: [number / 10, number / 10] for number in range(4)})
    for number in range(4, 8):
        run(pasha, number, 1, number / 10)
    for number in (7, 6):
        run(pasha, number, 2, number / 10)
    assert pasha.may_promote(1) and not pasha.may_promote(2)
    assert promotions(pasha) == [5, 4]  # from rung 1; none of those that wait at rung 2


def test_pasha_goes_on_where_the_ranking_changes() -> None:
    pasha = Pasha(CONTEXT, reduction_factor=2)
    arrive(pasha, {0: [0.1, 0.2], 1: [0.2, 0.1]})
    assert pasha.may_promote(2) and not pasha.may_promote(4)
    arrive(pasha, {2: [0.3, 0.3, 0.3, 0.3], 3: [0.4, 0.4, 0.4, 0.4]})
    assert not pasha.may_promote(4)
    arrive(pasha, {4: [0.5, 0.5, 0.5, 0.1]})  # best at 2 epochs, worst at 4
    assert pasha.may_promote(4) and not pasha.may_promote(8)


def test_pasha_overlooks_changes_within_the_noise() -> None:
    pasha = Pasha(CONTEXT, reduction_factor=4)
    # 0 and 1 cross twice and end 0.05 apart: epsilon; their ranks at epochs 1 and 4 differ by 0.02 at epoch 1
    arrive(pasha, {0: [0.50, 0.60, 0.60, 0.65], 1: [0.52, 0.55, 0.62, 0.60]})
    assert pasha._noise.epsilon() == pytest.approx(0.05)
    assert not pasha.may_promote(4)


def test_epsilon_is_the_ninetieth_percentile_of_distances_of_curves_that_cross_back() -> None:
    assert crossed_distance({1: 1, 2: 0, 3: 1}, {1: 0, 2: 1, 3: 0.75}) == 0.25
    assert crossed_distance({1: 1, 2: 0}, {1: 0, 2: 1}) is None
    assert crossed_distance({1: 1, 2: 0, 3: 1, 4: 9}, {1: 0, 3: 0}) is None  # no epoch 2 in common
    noise = Noise()
    assert noise.epsilon() == 0.0
    noise.add({1: 0.0, 2: 0.0, 3: 0.0})
    for distance in range(1, 4):
        noise.add({1: 10.0**distance, 2: -(10.0**distance), 3: float(distance)})
    # each pair crosses twice; they end 1, 2, 3 (from the first), 1, 2 and 1 apart
    assert noise.epsilon() == 3.0


def test_rankings_agree_if_equals_may_change_places() -> None:
    rankings = Rankings()
    for above, below in [(0.9, 0.5), (0.8, 0.52), (0.7, 0.3)]:
        rankings.add(above, below)
    assert not rankings.consistent(0.0)
    assert rankings.consistent(0.03)
    equals = Rankings()
    for below in (0.3, 0.1, 0.2):
        equals.add(0.5, below)
    assert equals.consistent(0.0)


def test_top_k_starts_while_there_is_room_then_resumes_the_best() -> None:
    top = OneEpochTopK(CONTEXT, top=2)
    for number, value in enumerate([0.3, 0.9, 0.1, 0.5]):
        assert top.next(True) == Start()
        decision = run(top, number, 1, value)
    assert decision.reason == "epoch 1: 0.5, and only the best 2 of all go on"
    top.on_start(trial(4))
    assert top.next(False) == Wait()  # its first epoch may be the best
    tell(top, trial(4), 1, 0.6)
    assert top.next(False) == Resume(1, "number 1 of 5 after epoch 1")
    top.on_start(trial(1))
    assert top.next(False) == Wait()  # trial 4 is second, and still saving
    top.on_finish(trial(4), PAUSED)
    assert promotions(top) == [4]
    assert not tell(top, trial(1), 2, 0.0).stop
    top.on_finish(trial(1), FAILED)
    assert promotions(top) == [3]
    top.on_finish(trial(3), Outcome(Ending.COMPLETED))
    assert top.next(False) == Wait()
