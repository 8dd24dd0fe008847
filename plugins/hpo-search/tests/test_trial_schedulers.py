"""What each stopping rule decides, and how it says so, on curves made up for the purpose."""

from __future__ import annotations

from typing import Any

import pytest
from hpo_search import composition
from hpo_search.asha import Asha
from hpo_search.asha_promotion import AshaPromotion
from hpo_search.bohb import Bohb
from hpo_search.median import Median
from hpo_search.patience import Patience
from hpo_search.percentile import Percentile
from hpo_search.threshold import Threshold

from hpo_core import (
    Component,
    Decision,
    Ending,
    Goal,
    HpoError,
    Outcome,
    Report,
    SchedulerContext,
    Trial,
    TrialScheduler,
)

CONTEXT = SchedulerContext()


def trial(number: int, epochs: int | None = 27, goal: Goal = "maximize") -> Trial:
    config: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    return Trial(number, 1, "simulated", {}, config, 0, "metric", goal, "/nowhere")


def tell(scheduler: TrialScheduler, of: Trial, step: int, value: float) -> Decision:
    score = value if of.goal == "maximize" else -value
    return scheduler.on_report(of, Report(step, {"metric": value}), score)


def test_asha_keeps_the_best_third_of_those_that_came_so_far() -> None:
    asha = Asha(CONTEXT, min_epochs=1, reduction_factor=3)
    values = [0.5, 0.4, 0.6, 0.9, 0.8, 0.7, 0.85, 0.1, 0.41, 0.86]
    stopped = [tell(asha, trial(number), 1, value).stop for number, value in enumerate(values)]
    # the best 1, 1, 1, 1, 1, 2, 2, 2, 3, 3 go on
    assert stopped == [False, True, False, False, True, True, False, True, True, False]


def test_asha_says_which_rung_and_rank() -> None:
    asha = Asha(CONTEXT)
    for number in range(8):
        tell(asha, trial(number), 1, 0.5 + number / 100)
    decision = tell(asha, trial(8), 1, 0.41)
    assert decision.reason == "rung 1: 0.41 is not among the best 3 of 9"


def test_asha_shows_the_metric_as_it_was_reported_when_less_is_better() -> None:
    asha = Asha(CONTEXT)
    tell(asha, trial(0, goal="minimize"), 1, 0.2)
    decision = tell(asha, trial(1, goal="minimize"), 1, 0.3)
    assert decision.reason == "rung 1: 0.3 is not among the best of 2"


def test_asha_has_rungs_at_r_times_powers_of_eta() -> None:
    asha = Asha(CONTEXT, min_epochs=2, reduction_factor=3)
    for step in range(1, 28):
        tell(asha, trial(0), step, 0.9)
    stops = []
    for step in range(1, 28):
        best = 1.0 if step not in (2, 6, 18) else 0.91
        stops.append(tell(asha, trial(1), step, best).stop)
    assert not any(stops)
    assert not tell(asha, trial(2), 1, 0.0).stop
    assert tell(asha, trial(2), 2, 0.0).reason.startswith("rung 2:")


def test_asha_judges_at_the_first_report_behind_a_rung() -> None:
    asha = Asha(CONTEXT, min_epochs=3, reduction_factor=3)
    assert not tell(asha, trial(0), 4, 0.9).stop
    assert not tell(asha, trial(1), 2, 0.1).stop
    assert tell(asha, trial(1), 4, 0.1).reason.startswith("rung 3:")


def test_asha_judges_once_at_a_rung() -> None:
    asha = Asha(CONTEXT, min_epochs=1, reduction_factor=3)
    assert not tell(asha, trial(0), 1, 0.5).stop
    assert not tell(asha, trial(1), 1, 0.6).stop
    assert not tell(asha, trial(0), 2, 0.0).stop


def test_asha_lets_equals_go_on() -> None:
    asha = Asha(CONTEXT)
    assert not any(tell(asha, trial(number), 1, 0.5).stop for number in range(9))


@pytest.mark.parametrize(("options", "epochs"), [({}, 9), ({"max_epochs": 9}, None)])
def test_asha_has_no_rung_at_the_end(options: dict[str, int], epochs: int | None) -> None:
    asha = Asha(CONTEXT, min_epochs=9, **options)
    tell(asha, trial(0, epochs), 9, 0.9)
    assert not tell(asha, trial(1, epochs), 9, 0.1).stop


def test_median_compares_the_best_with_running_averages() -> None:
    median = Median(CONTEXT, min_trials=2)
    for number, values in enumerate([(0.25, 0.5), (0.5, 1.0)]):
        for step, value in enumerate(values, 1):
            tell(median, trial(number), step, value)
    # averages up to epoch 2 are 0.375 and 0.75, their median is 0.5625
    assert not tell(median, trial(2), 2, 0.5625).stop
    decision = tell(median, trial(3), 2, 0.1)
    assert decision.reason == "epoch 2: 0.1, and none before, reaches the median 0.5625 of 3 others"


def test_median_remembers_the_best_of_a_trial() -> None:
    median = Median(CONTEXT, min_trials=1)
    tell(median, trial(0), 1, 0.5)
    tell(median, trial(0), 2, 0.5)
    assert not tell(median, trial(1), 1, 0.6).stop
    assert not tell(median, trial(1), 2, 0.1).stop


def test_median_lets_equals_go_on() -> None:
    median = Median(CONTEXT, min_trials=1)
    for step in range(1, 20):
        assert not any(tell(median, trial(number), step, 0.1).stop for number in range(4))


def test_median_waits_for_epochs_and_for_trials() -> None:
    median = Median(CONTEXT, min_epochs=3, min_trials=2)
    for step in (1, 2, 3):
        tell(median, trial(0), step, 0.9)
    assert not tell(median, trial(1), 3, 0.1).stop  # only one other
    assert not tell(median, trial(2), 2, 0.1).stop  # too early
    assert tell(median, trial(2), 3, 0.1).stop


def test_median_leaves_out_trials_that_have_not_got_as_far() -> None:
    median = Median(CONTEXT, min_trials=1)
    tell(median, trial(0), 1, 0.9)
    assert not tell(median, trial(1), 2, 0.1).stop


def test_median_says_the_median_of_a_loss() -> None:
    median = Median(CONTEXT, min_trials=1)
    tell(median, trial(0, goal="minimize"), 1, 0.2)
    decision = tell(median, trial(1, goal="minimize"), 1, 0.7)
    assert "epoch 1: 0.7, and none before, reaches the median 0.2 of 1 others" in decision.reason


def test_patience_counts_epochs_since_the_best() -> None:
    patience = Patience(CONTEXT, epochs=3)
    values = [0.5, 0.6, 0.6, 0.55, 0.6]
    decisions = [tell(patience, trial(0), step, value) for step, value in enumerate(values, 1)]
    assert [decision.stop for decision in decisions] == [False, False, False, False, True]
    assert decisions[-1].reason == "no improvement on 0.6 of epoch 2 in 3 epochs"


def test_patience_counts_epochs_not_reports() -> None:
    patience = Patience(CONTEXT, epochs=4)
    tell(patience, trial(0), 5, 0.5)
    assert tell(patience, trial(0), 10, 0.5).stop


def test_patience_wants_more_than_min_delta() -> None:
    patience = Patience(CONTEXT, epochs=2, min_delta=0.1)
    assert not tell(patience, trial(0), 1, 0.5).stop
    assert not tell(patience, trial(0), 2, 0.55).stop
    assert tell(patience, trial(0), 3, 0.59).stop
    assert not tell(patience, trial(1), 3, 0.1).stop  # trials are not compared


def test_median_counts_what_a_trial_skipped_as_its_average_then() -> None:
    median = Median(CONTEXT, min_trials=1)
    tell(median, trial(0), 1, 0.4)
    tell(median, trial(0), 3, 0.8)
    # at epoch 2 the average of trial 0 was 0.4
    assert not tell(median, trial(1), 2, 0.4).stop
    assert tell(median, trial(2), 2, 0.39).reason.endswith("the median 0.4 of 2 others")


def test_percentile_keeps_the_best_share_of_best_scores() -> None:
    percentile = Percentile(CONTEXT, keep=25, min_trials=3)
    values = [0.5, 0.4, 0.6, 0.3, 0.7, 0.65, 0.65, 0.64, 0.8]
    stopped = [
        tell(percentile, trial(number), 1, value).stop for number, value in enumerate(values)
    ]
    # of 4, 5, 6, 7, 8, 9 trials the best 1, 2, 2, 2, 2, 3 go on, and equals together
    assert stopped == [False, False, False, True, False, False, False, True, False]


def test_percentile_remembers_the_best_of_a_trial_and_waits() -> None:
    percentile = Percentile(CONTEXT, keep=50, min_epochs=2, min_trials=1)
    for step, value in ((1, 0.9), (2, 0.1)):
        assert not tell(percentile, trial(0), step, value).stop
    assert not tell(percentile, trial(1), 1, 0.5).stop
    decision = tell(percentile, trial(1), 2, 0.5)
    assert decision.reason == "epoch 2: 0.5, and none before, is among the best 1 of 2"


@pytest.mark.parametrize(("goal", "good", "bad"), [("maximize", 0.6, 0.4), ("minimize", 0.4, 0.6)])
def test_threshold_is_a_bound_in_the_units_of_the_metric(
    goal: Goal, good: float, bad: float
) -> None:
    threshold = Threshold(CONTEXT, bound=0.5, epochs=2)
    assert not tell(threshold, trial(0, goal=goal), 1, bad).stop
    decision = tell(threshold, trial(0, goal=goal), 2, bad)
    assert decision.reason == f"epoch 2: {bad}, and none before, reaches 0.5"
    assert not tell(threshold, trial(1, goal=goal), 1, good).stop
    assert not tell(threshold, trial(1, goal=goal), 2, bad).stop
    assert not tell(threshold, trial(2, goal=goal), 3, 0.5).stop
    assert not tell(threshold, trial(3, epochs=2, goal=goal), 2, bad).stop


def rules() -> list[Component]:
    """Stop below 0.5 from epoch 1 on; stop without improvement for two epochs."""
    return [
        Component("threshold", {}, lambda context: Threshold(context, bound=0.5)),
        Component("patience", {}, lambda context: Patience(context, epochs=2)),
    ]


def test_any_stops_when_one_rule_does() -> None:
    joined = composition.Any(CONTEXT, of=rules())
    decision = tell(joined, trial(0), 1, 0.4)
    assert decision.reason == "threshold: epoch 1: 0.4, and none before, reaches 0.5"
    assert [tell(joined, trial(1), step, 0.6).stop for step in (1, 2, 3)] == [False, False, True]


def test_all_stops_when_every_rule_has_said_so_be_it_at_different_epochs() -> None:
    joined = composition.All(CONTEXT, of=rules())
    assert not tell(joined, trial(0), 1, 0.4).stop  # too low
    assert not tell(joined, trial(0), 2, 0.4).stop
    decision = tell(joined, trial(0), 3, 0.4)  # and no better
    assert decision.reason == (
        "threshold: epoch 1: 0.4, and none before, reaches 0.5; "
        "patience: no improvement on 0.4 of epoch 1 in 2 epochs"
    )
    assert not any(tell(joined, trial(1), step, 0.6).stop for step in (1, 2, 3, 4))


def test_a_verdict_stands_until_the_trial_ends() -> None:
    joined = composition.All(CONTEXT, of=rules())
    tell(joined, trial(0), 1, 0.4)
    assert not tell(joined, trial(0), 2, 0.6).stop  # better, but the threshold has spoken
    assert not tell(joined, trial(0), 3, 0.6).stop
    assert tell(joined, trial(0), 4, 0.6).stop
    joined.on_finish(trial(0), Outcome(Ending.STOPPED))
    assert not tell(joined, trial(0), 5, 0.6).stop


def test_a_rule_hears_no_more_of_a_trial_that_it_stopped() -> None:
    asha = Component("asha", {}, lambda context: Asha(context))
    never = Component("patience", {}, lambda context: Patience(context, epochs=99))
    joined = composition.All(CONTEXT, of=[asha, never])
    tell(joined, trial(0), 1, 0.9)
    tell(joined, trial(1), 1, 0.1)  # stopped by asha alone
    tell(joined, trial(1), 3, 1.0)  # would be the best of rung 3
    tell(joined, trial(0), 3, 0.9)
    assert joined._verdicts[0] == {}


@pytest.mark.parametrize("build", [AshaPromotion, Bohb])
def test_what_does_more_than_stop_cannot_be_joined(build: Any) -> None:
    with pytest.raises(HpoError, match="'it' does more than stop trials"):
        composition.Any(CONTEXT, of=[*rules(), Component("it", {}, build)])


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(HpoError, match="at least one"):
        composition.All(CONTEXT, of=[])


def test_joined_rules_can_be_joined() -> None:
    inner = Component("all", {}, lambda context: composition.All(context, of=rules()))
    joined = composition.Any(CONTEXT, of=[inner])
    assert [tell(joined, trial(0), step, 0.4).stop for step in (1, 2, 3)] == [False, False, True]
