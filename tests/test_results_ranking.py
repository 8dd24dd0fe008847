"""Rankings and comparisons: their figures against scipy's and hand-made ones, and what is said of too few runs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pytest
from optuna.trial import TrialState
from results_studies import OBJECTIVE, Told, store
from scipy import stats
from sqlalchemy import Engine

from hpo_core.errors import UsageError
from hpo_core.results import comparison, ranking, significance
from hpo_core.results.query import Query, find
from hpo_core.storage import database


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    shutil.copy(empty_database, tmp_path / "hpo.db")
    engine = database.open_or_create(f"sqlite:///{tmp_path}/hpo.db")
    yield engine
    engine.dispose()


def ranked(
    engine: Engine, *names: str, by: str = "lr_scheduler", **given: object
) -> ranking.Ranking:
    found = ranking.rank(find(engine, Query(names)), by, **given)  # type: ignore[arg-type]
    assert len(found) == 1
    return found[0]


ENDS = {"cosine": [0.90, 0.92, 0.94], "step": [0.85, 0.91, 0.88], "constant": [0.60, 0.70, 0.93]}


def plain(ends: dict[str, list[float]] = ENDS) -> list[Told]:
    return [
        Told(name, seed, [0.1, end, end - 0.05])
        for name, values in ends.items()
        for seed, end in enumerate(values)
    ]


# ---- nothing stopped early ----


def test_levels_are_ordered_by_the_mean_of_their_best(engine: Engine) -> None:
    store(engine, "s", plain())
    found = ranked(engine)
    assert [place.level for place in found.places] == ["cosine", "step", "constant"]
    assert found.blocks == ("dataset.split_seed",) and found.complete_blocks == 3
    for place in found.places:
        assert place.best is not None and place.final is not None and place.best.low is not None
        assert place.best.mean == pytest.approx(fmean(ENDS[place.level]))
        assert place.final.mean == pytest.approx(fmean(ENDS[place.level]) - 0.05)
        assert min(ENDS[place.level]) <= place.best.low <= place.best.mean
        assert (place.reached, place.epoch, place.runs, place.failed) == ((3, 3, 3), 3, 3, 0)
        assert place.to_share == 2.0
        height = [(0.1 + end) / 2 + end - 0.025 for end in ENDS[place.level]]
        assert place.area == pytest.approx(fmean(height) / 2)


def test_the_tests_are_scipys(engine: Engine) -> None:
    store(engine, "s", plain())
    found = ranked(engine)
    theirs = stats.friedmanchisquare(*ENDS.values())
    assert found.friedman is not None and found.friedman.n == 3
    assert found.friedman.statistic == pytest.approx(theirs.statistic)
    assert found.friedman.p == pytest.approx(theirs.pvalue)
    ranks = [
        stats.rankdata([-value for value in block]) for block in zip(*ENDS.values(), strict=True)
    ]
    expected = [fmean(rank[index] for rank in ranks) for index in range(3)]
    assert [place.rank for place in found.places] == pytest.approx(expected)
    raw = [
        stats.wilcoxon([b - a for a, b in zip(ENDS["cosine"], ENDS[other], strict=True)]).pvalue
        for other in ("step", "constant")
    ]
    assert [place.p for place in found.places] == [None, *significance.holm(raw)]


def test_less_is_better_of_a_loss(engine: Engine) -> None:
    store(engine, "s", plain())
    found = ranked(engine, metric="val_loss")
    assert found.goal == "minimize"
    assert [place.level for place in found.places] == ["cosine", "step", "constant"]
    assert found.places[0].best is not None
    assert found.places[0].best.mean == pytest.approx(1 - fmean(ENDS["cosine"]))
    assert [place.rank for place in found.places] == [place.rank for place in ranked(engine).places]


def test_the_same_question_has_the_same_answer(engine: Engine) -> None:
    store(engine, "s", plain())
    assert ranked(engine) == ranked(engine)


def test_blocks_may_be_named(engine: Engine) -> None:
    store(engine, "s", plain())
    assert ranked(engine, blocks=["split_seed"]) == ranked(engine)
    unpaired = ranked(engine, blocks=[])
    assert unpaired.friedman is None and all(place.rank is None for place in unpaired.places)
    assert any("no option stands for repetition" in note for note in unpaired.notes)
    with pytest.raises(UsageError, match="no trial has an option 'split_sed' - did you mean"):
        ranked(engine, blocks=["split_sed"])


def test_one_ranking_for_each_model(engine: Engine) -> None:
    store(engine, "a", plain())
    other = {name: [1 - value for value in values] for name, values in ENDS.items()}
    store(engine, "b", plain(other), OBJECTIVE | {"model": {"name": "vit"}})
    found = ranking.rank(find(engine, Query()), "lr_scheduler", "model")
    assert [(each.group, each.places[0].level) for each in found] == [
        ("resnet18", "cosine"),
        ("vit", "constant"),
    ]


def test_studies_are_blocks_of_their_own(engine: Engine) -> None:
    store(engine, "a", plain())
    store(engine, "b", plain())
    found = ranked(engine)
    assert found.blocks == ("study", "dataset.split_seed") and found.complete_blocks == 6


# ---- some stopped early, some failed ----


def censored() -> list[Told]:
    """Two rungs: at epoch 2 `constant` is stopped, though it leads there by its best; `step` is stopped once."""
    pruned = TrialState.PRUNED
    return [
        Told("cosine", 0, [0.2, 0.5, 0.8, 0.9]),
        Told("cosine", 1, [0.2, 0.5, 0.8, 0.9]),
        Told("step", 0, [0.2, 0.6, 0.7, 0.8]),
        Told("step", 1, [0.2, 0.4], state=pruned),
        Told("constant", 0, [0.7, 0.7], state=pruned),
        Told("constant", 1, [0.7, 0.7], state=pruned),
    ]


def test_runs_that_were_stopped_are_compared_where_both_had_come(engine: Engine) -> None:
    store(engine, "s", censored())
    found = ranked(engine)
    assert [(p.level, p.reached, p.epoch) for p in found.places] == [
        ("cosine", (4, 4), 4),
        ("step", (4, 2), 2),
        ("constant", (2, 2), 2),
    ]
    assert [p.best and p.best.mean for p in found.places] == pytest.approx([0.9, 0.5, 0.7])
    # block 0: cosine and step came to the end, constant did not; block 1: cosine alone did
    assert [p.rank for p in found.places] == [1.0, 2.5, 2.5]
    assert any("stopped early" in note for note in found.notes)


def test_an_earlier_epoch_may_be_asked_for(engine: Engine) -> None:
    store(engine, "s", censored())
    found = ranked(engine, epoch=2)
    assert [(p.level, p.epoch) for p in found.places] == [
        ("constant", 2),
        ("cosine", 2),
        ("step", 2),
    ]
    assert not any("stopped early" in note for note in found.notes)


def test_studies_of_different_lengths_are_no_merit(engine: Engine) -> None:
    store(
        engine,
        "long",
        [Told("step", 0, [0.1, 0.2, 0.3, 0.4]), Told("step", 1, [0.1, 0.2, 0.3, 0.4])],
    )
    short = OBJECTIVE | {"epochs": 2}
    store(engine, "short", [Told("cosine", 0, [0.1, 0.9]), Told("cosine", 1, [0.1, 0.9])], short)
    assert [place.level for place in ranked(engine).places] == ["cosine", "step"]


def test_a_failed_run_counts_and_is_in_no_mean(engine: Engine) -> None:
    told = [*plain(), Told("step", 2, [0.99], state=TrialState.FAIL)]
    told = [
        each for each in told if (each.scheduler, each.seed, each.accuracy[0]) != ("step", 2, 0.1)
    ]
    store(engine, "s", told)
    found = ranked(engine)
    place = next(place for place in found.places if place.level == "step")
    assert (place.runs, place.failed, place.reached) == (3, 1, (3, 3, 0))
    assert place.best is not None and place.best.n == 2
    assert place.best.mean == pytest.approx(fmean([0.85, 0.91]))
    assert [p.level for p in found.places] == ["cosine", "constant", "step"]  # two thirds of it
    assert place.rank == pytest.approx((2 + 2 + 3) / 3)


def test_a_level_that_always_failed_is_last(engine: Engine) -> None:
    store(
        engine, "t", [Told("cosine", 0, [0.1]), Told("step", 0, [math.nan], state=TrialState.FAIL)]
    )
    found = ranked(engine, "t")
    assert [(p.level, p.epoch, p.best) for p in found.places][1] == ("step", None, None)


def test_running_trials_are_left_out(engine: Engine) -> None:
    store(engine, "s", [*plain(), Told("step", 0, [0.99], state=TrialState.RUNNING)])
    found = ranked(engine)
    assert found.places[0].level == "cosine"
    assert any("1 unfinished" in note for note in found.notes)


def test_of_several_trials_in_a_block_the_best_counts(engine: Engine) -> None:
    store(engine, "s", [*plain(), Told("step", 0, [0.1, 0.99, 0.5], lr=0.5)])
    found = ranked(engine)
    assert found.places[0].level == "step"
    assert any("optimizer.lr" in note for note in found.notes)


# ---- too few ----


def test_it_is_said_when_there_are_too_few_runs(engine: Engine) -> None:
    store(engine, "s", [each for each in plain() if each.seed < 2])
    found = ranked(engine)
    assert "intervals of two runs are their range, and no more" in found.notes
    assert any("with 2 pairs the least p" in note and "it takes 7" in note for note in found.notes)
    store(engine, "t", [each for each in plain() if each.seed < 2 and each.scheduler != "step"])
    two = ranked(engine, "t")
    assert two.friedman is None
    assert any("no Friedman test" in note for note in two.notes)


def test_nothing_is_said_of_enough_runs(engine: Engine) -> None:
    told = [
        Told(name, seed, [base + 0.01 * seed])
        for name, base in (("cosine", 0.8), ("step", 0.5))
        for seed in range(8)
    ]
    store(engine, "s", told)
    found = ranked(engine)
    assert found.places[1].p == pytest.approx(2 / 2**8)
    assert not any("too few" in note for note in found.notes)


def test_the_least_p_is_what_scipy_gives() -> None:
    for pairs in (1, 2, 5, 8):
        found = significance.wilcoxon([0.1 * (1 + index) for index in range(pairs)])
        assert found is not None and found.p == pytest.approx(significance.least_p(pairs))
    assert significance.pairs_needed(1) == 6 and significance.pairs_needed(34) == 11


def test_degenerate_samples() -> None:
    assert significance.wilcoxon([0.0, 0.0]) == significance.TestResult("wilcoxon", 0.0, 1.0, 2)
    assert significance.wilcoxon([]) is None
    assert significance.friedman([[1.0, 1.0, 1.0]] * 3) is None
    same = significance.interval([0.5, 0.5, 0.5])
    assert (same.low, same.mean, same.high) == (0.5, 0.5, 0.5)
    assert significance.interval([0.5]) == significance.Interval(0.5, None, None, 1)


def test_holm() -> None:
    assert significance.holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert significance.holm([0.9, 0.8]) == [1.0, 1.0]
    assert significance.holm([]) == []


def test_a_bootstrap_interval_covers_as_it_should() -> None:
    """Of 60 samples of 20 normal numbers, some 95 % have an interval around the true mean."""
    import numpy

    rng = numpy.random.default_rng(1)
    covered = 0
    for sample in rng.normal(3.0, 1.0, size=(60, 20)):
        found = significance.interval(sample.tolist())
        assert found.low is not None and found.high is not None
        covered += found.low < 3.0 < found.high
    assert 51 <= covered <= 60


# ---- comparisons ----


def test_a_paired_comparison(engine: Engine) -> None:
    store(engine, "s", plain())
    found = comparison.compare(find(engine, Query()), ["step", "cosine", "constant"])
    assert (found.by, found.blocks) == ("lr_scheduler", ("dataset.split_seed",))
    first, second = found.differences
    assert (first.first, first.other, first.epoch, first.paired) == ("step", "cosine", 3, 3)
    assert first.difference is not None and first.test is not None
    differences = [b - a for a, b in zip(ENDS["step"], ENDS["cosine"], strict=True)]
    assert first.difference.mean == pytest.approx(fmean(differences))
    assert first.test.p == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert second.difference is not None and second.difference.mean < 0
    assert any("too few pairs" in note for note in found.notes)


def test_studies_are_compared_where_both_had_come(engine: Engine) -> None:
    store(engine, "a", [Told("cosine", seed, [0.1, 0.5, 0.9]) for seed in (0, 1)])
    store(engine, "b", [Told("cosine", seed, [0.2, 0.6]) for seed in (0, 1)])
    (found,) = comparison.compare(find(engine, Query()), ["a", "b"]).differences
    assert (found.epoch, found.paired) == (2, 2)
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(0.1)


def test_what_cannot_be_paired_is_compared_as_groups(engine: Engine) -> None:
    values = {"a": [0.5, 0.6, 0.7], "b": [0.8, 0.9, 0.95]}
    for name, ends in values.items():
        store(engine, name, [Told("cosine", 0, [end]) for end in ends])
    (found,) = comparison.compare(find(engine, Query()), ["a", "b"]).differences
    theirs = stats.mannwhitneyu(values["a"], values["b"])
    assert found.paired is None and found.test is not None and found.difference is not None
    assert found.test.name == "mann-whitney"
    assert found.test.p == pytest.approx(theirs.pvalue)
    assert found.difference.mean == pytest.approx(fmean(values["b"]) - fmean(values["a"]))
    assert found.difference.low is not None and found.difference.low > 0


@pytest.mark.parametrize(
    "levels, given, said",
    [
        (
            ["cosine", "stepp"],
            {},
            "'stepp' is neither a study nor the value .* did you mean 'step'",
        ),
        (["cosine", "s"], {}, "no option has all of cosine, s as values"),
        (["cosine", "cosine"], {}, "'cosine' is compared with nothing"),
        (["cosine", "sgd"], {"by": "lr_scheduler"}, "no trial has the lr_scheduler 'sgd'"),
        (["cosine", "step"], {"by": "lr_schedular"}, "did you mean 'lr_scheduler'"),
        (["cosine", "step"], {"metric": "val_los"}, "no trial reported a metric 'val_los'"),
    ],
)
def test_what_cannot_be_compared(
    engine: Engine, levels: list[str], given: dict[str, str], said: str
) -> None:
    store(engine, "s", plain())
    with pytest.raises(UsageError, match=said):
        comparison.compare(find(engine, Query()), levels, **given)  # type: ignore[arg-type]
