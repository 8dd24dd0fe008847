"""What each trial scheduler decides, and how it says so, on curves made up for the purpose."""

from __future__ import annotations

from typing import Any

import pytest
from hpo_search.asha import Asha
from hpo_search.median import Median
from hpo_search.patience import Patience

from hpo_core import Decision, Report, Trial, TrialScheduler
from hpo_core.trial import Goal


def trial(number: int, epochs: int | None = 27, goal: Goal = "maximize") -> Trial:
    config: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    return Trial(number, 1, "simulated", {}, config, 0, "metric", goal, "/nowhere")


def tell(scheduler: TrialScheduler, of: Trial, step: int, value: float) -> Decision:
    score = value if of.goal == "maximize" else -value
    return scheduler.on_report(of, Report(step, {"metric": value}), score)


def test_asha_keeps_the_best_third_of_those_that_came_so_far() -> None:
    asha = Asha(min_epochs=1, reduction_factor=3)
    values = [0.5, 0.4, 0.6, 0.9, 0.8, 0.7, 0.85, 0.1, 0.41, 0.86]
    stopped = [tell(asha, trial(number), 1, value).stop for number, value in enumerate(values)]
    # the best 1, 1, 1, 1, 1, 2, 2, 2, 3, 3 go on
    assert stopped == [False, True, False, False, True, True, False, True, True, False]


def test_asha_says_which_rung_and_rank() -> None:
    asha = Asha()
    for number in range(8):
        tell(asha, trial(number), 1, 0.5 + number / 100)
    decision = tell(asha, trial(8), 1, 0.41)
    assert decision.reason == "rung 1: 0.41 is not among the best 3 of 9"


def test_asha_shows_the_metric_as_it_was_reported_when_less_is_better() -> None:
    asha = Asha()
    tell(asha, trial(0, goal="minimize"), 1, 0.2)
    decision = tell(asha, trial(1, goal="minimize"), 1, 0.3)
    assert decision.reason == "rung 1: 0.3 is not among the best of 2"


def test_asha_has_rungs_at_r_times_powers_of_eta() -> None:
    asha = Asha(min_epochs=2, reduction_factor=3)
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
    asha = Asha(min_epochs=3, reduction_factor=3)
    assert not tell(asha, trial(0), 4, 0.9).stop
    assert not tell(asha, trial(1), 2, 0.1).stop
    assert tell(asha, trial(1), 4, 0.1).reason.startswith("rung 3:")


def test_asha_judges_once_at_a_rung() -> None:
    asha = Asha(min_epochs=1, reduction_factor=3)
    assert not tell(asha, trial(0), 1, 0.5).stop
    assert not tell(asha, trial(1), 1, 0.6).stop
    assert not tell(asha, trial(0), 2, 0.0).stop


def test_asha_lets_equals_go_on() -> None:
    asha = Asha()
    assert not any(tell(asha, trial(number), 1, 0.5).stop for number in range(9))


@pytest.mark.parametrize(("options", "epochs"), [({}, 9), ({"max_epochs": 9}, None)])
def test_asha_has_no_rung_at_the_end(options: dict[str, int], epochs: int | None) -> None:
    asha = Asha(min_epochs=9, **options)
    tell(asha, trial(0, epochs), 9, 0.9)
    assert not tell(asha, trial(1, epochs), 9, 0.1).stop


def test_median_compares_the_best_with_running_averages() -> None:
    median = Median(min_trials=2)
    for number, values in enumerate([(0.25, 0.5), (0.5, 1.0)]):
        for step, value in enumerate(values, 1):
            tell(median, trial(number), step, value)
    # averages up to epoch 2 are 0.375 and 0.75, their median is 0.5625
    assert not tell(median, trial(2), 2, 0.5625).stop
    decision = tell(median, trial(3), 2, 0.1)
    assert decision.reason == "epoch 2: 0.1, and none before, reaches the median 0.5625 of 3 others"


def test_median_remembers_the_best_of_a_trial() -> None:
    median = Median(min_trials=1)
    tell(median, trial(0), 1, 0.5)
    tell(median, trial(0), 2, 0.5)
    assert not tell(median, trial(1), 1, 0.6).stop
    assert not tell(median, trial(1), 2, 0.1).stop


def test_median_lets_equals_go_on() -> None:
    median = Median(min_trials=1)
    for step in range(1, 20):
        assert not any(tell(median, trial(number), step, 0.1).stop for number in range(4))


def test_median_waits_for_epochs_and_for_trials() -> None:
    median = Median(min_epochs=3, min_trials=2)
    for step in (1, 2, 3):
        tell(median, trial(0), step, 0.9)
    assert not tell(median, trial(1), 3, 0.1).stop  # only one other
    assert not tell(median, trial(2), 2, 0.1).stop  # too early
    assert tell(median, trial(2), 3, 0.1).stop


def test_median_leaves_out_trials_that_have_not_got_as_far() -> None:
    median = Median(min_trials=1)
    tell(median, trial(0), 1, 0.9)
    assert not tell(median, trial(1), 2, 0.1).stop


def test_median_says_the_median_of_a_loss() -> None:
    median = Median(min_trials=1)
    tell(median, trial(0, goal="minimize"), 1, 0.2)
    decision = tell(median, trial(1, goal="minimize"), 1, 0.7)
    assert "epoch 1: 0.7, and none before, reaches the median 0.2 of 1 others" in decision.reason


def test_patience_counts_epochs_since_the_best() -> None:
    patience = Patience(epochs=3)
    values = [0.5, 0.6, 0.6, 0.55, 0.6]
    decisions = [tell(patience, trial(0), step, value) for step, value in enumerate(values, 1)]
    assert [decision.stop for decision in decisions] == [False, False, False, False, True]
    assert decisions[-1].reason == "no improvement on 0.6 of epoch 2 in 3 epochs"


def test_patience_counts_epochs_not_reports() -> None:
    patience = Patience(epochs=4)
    tell(patience, trial(0), 5, 0.5)
    assert tell(patience, trial(0), 10, 0.5).stop


def test_patience_wants_more_than_min_delta() -> None:
    patience = Patience(epochs=2, min_delta=0.1)
    assert not tell(patience, trial(0), 1, 0.5).stop
    assert not tell(patience, trial(0), 2, 0.55).stop
    assert tell(patience, trial(0), 3, 0.59).stop
    assert not tell(patience, trial(1), 3, 0.1).stop  # trials are not compared
