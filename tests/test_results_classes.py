"""Classes and groups of them, counted from a confusion; against scikit-learn's figures and hand-made ones."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from hpo_core import ClassReport
from hpo_core.results import classes

NAMES = ("cat", "dog", "car", "bus")
HOMES: dict[str, tuple[int, ...]] = {"animals": (0, 1), "vehicles": (2, 3)}


def report(labels: list[int], guesses: list[int], **given: object) -> ClassReport:
    """What an objective would report: the three measures worked out by scikit-learn."""
    from sklearn.metrics import precision_recall_fscore_support

    measured = precision_recall_fscore_support(
        labels, guesses, labels=range(len(NAMES)), zero_division=0
    )
    precision, recall, f1 = (tuple(each.tolist()) for each in measured[:3])
    counted = Counter(zip(labels, guesses, strict=True))
    confusion = tuple((label, guess, count) for (label, guess), count in counted.items())
    made = ClassReport(NAMES, precision, recall, f1, confusion, HOMES)
    return replace(made, **given)  # type: ignore[arg-type]


def sample(images: int = 400, right: float = 0.8) -> tuple[list[int], list[int]]:
    """Labels and guesses; most errors stay within the group."""
    rng = random.Random(3)
    labels = [rng.choices(range(4), (4, 3, 2, 1))[0] for _ in range(images)]
    guesses = []
    for label in labels:
        near = label ^ 1 if rng.random() < 0.7 else rng.randrange(4)
        guesses.append(label if rng.random() < right else near)
    return labels, guesses


def test_the_whole_is_scikit_learns() -> None:
    from sklearn import metrics

    labels, guesses = sample()
    found = classes.summary(report(labels, guesses))
    assert found.images == 400
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, guesses))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, guesses, average="macro"))
    recall = metrics.balanced_accuracy_score(labels, guesses)
    assert found.macro_recall == pytest.approx(recall)
    matrix = metrics.confusion_matrix(labels, guesses, normalize="true")
    assert classes.matrix(report(labels, guesses)) == [pytest.approx(row) for row in matrix]
    for index, row in enumerate(found.classes):
        assert (row.support, row.predicted) == (labels.count(index), guesses.count(index))
        # what is counted from the confusion is what was reported
        hits = sum(a == b == index for a, b in zip(labels, guesses, strict=True))
        assert row.recall == pytest.approx(hits / row.support)
        assert row.precision == pytest.approx(hits / row.predicted)


def test_groups() -> None:
    from sklearn.metrics import accuracy_score

    labels, guesses = sample()
    found = classes.summary(report(labels, guesses))
    for group in found.groups:
        inside = [(a, b) for a, b in zip(labels, guesses, strict=True) if a in HOMES[group.name]]
        assert group.support == len(inside) and group.classes == 2
        assert group.micro == pytest.approx(sum(a == b for a, b in inside) / len(inside))
        near = sum(b in HOMES[group.name] for _, b in inside) / len(inside)
        assert group.coarse == pytest.approx(near)
        recalls = [found.classes[index].recall for index in HOMES[group.name]]
        assert group.macro == pytest.approx(sum(recalls) / 2)
        assert group.macro != group.micro  # the classes are not of one size
    coarse = accuracy_score([label // 2 for label in labels], [guess // 2 for guess in guesses])
    assert found.coarse_accuracy == pytest.approx(coarse)
    assert found.errors_within == pytest.approx(
        sum(a != b and a // 2 == b // 2 for a, b in zip(labels, guesses, strict=True))
        / sum(a != b for a, b in zip(labels, guesses, strict=True))
    )


@pytest.mark.parametrize(
    "groups",
    [
        {},
        {"animals": (0, 1)},  # two classes have none
        {"animals": (0, 1), "vehicles": (2, 3), "wheels": (2,)},  # one has two
    ],
)
def test_groups_that_are_no_partition_have_no_coarse_accuracy(
    groups: dict[str, tuple[int, ...]],
) -> None:
    found = classes.summary(report(*sample(), groups=groups))
    assert found.coarse_accuracy is None and found.errors_within is None
    assert [group.name for group in found.groups] == list(groups)
    assert all(group.coarse is not None for group in found.groups)
    assert all(
        pair.same_group is None for pair in classes.confused(report(*sample(), groups=groups))
    )


def test_permuted_guesses_fall_to_chance() -> None:
    """Every measure of every class is at chance, and that of the groups too, once the guesses are shuffled."""
    labels, guesses = sample(4000)
    honest = classes.summary(report(labels, guesses))
    shuffled = guesses.copy()
    random.Random(0).shuffle(shuffled)
    broken = classes.summary(report(labels, shuffled))
    assert broken.most_predicted == honest.most_predicted  # as often, at random
    for before, after in zip(honest.classes, broken.classes, strict=True):
        share = after.predicted / 4000
        assert after.recall == pytest.approx(share, abs=0.05) and before.recall > share + 0.2
        chance = after.support / 4000
        assert after.precision == pytest.approx(chance, abs=0.05)
        assert before.precision > chance + 0.2
        assert before.f1 > after.f1 + 0.2
    for name, before_group, after_group in zip(HOMES, honest.groups, broken.groups, strict=True):
        share = sum(broken.classes[index].predicted for index in HOMES[name]) / 4000
        assert after_group.coarse == pytest.approx(share, abs=0.05)
        assert (before_group.micro or 0) > (after_group.micro or 0) + 0.2
        assert (before_group.macro or 0) > (after_group.macro or 0) + 0.2
    assert (honest.coarse_accuracy or 0) > (broken.coarse_accuracy or 0) + 0.2


def test_a_class_without_images_is_in_no_mean() -> None:
    found = classes.summary(report([0, 0, 1, 1], [0, 0, 1, 0]))
    assert [row.support for row in found.classes] == [2, 2, 0, 0]
    assert found.macro_recall == pytest.approx(0.75)
    vehicles = found.groups[1]
    assert (vehicles.support, vehicles.micro, vehicles.macro, vehicles.coarse) == (
        0,
        None,
        None,
        None,
    )
    assert classes.matrix(report([0], [1]))[3] == [0.0] * 4


def test_a_report_without_images() -> None:
    found = classes.summary(ClassReport((), (), (), (), ()))
    assert (found.images, found.accuracy, found.macro_f1, found.most_predicted) == (
        0,
        None,
        None,
        None,
    )
    assert classes.confused(ClassReport((), (), (), (), ())) == []


def test_the_most_confused_pairs() -> None:
    made = report(
        [0] * 10 + [1] * 4 + [2] * 4, [0] * 6 + [1] * 3 + [2] + [1] * 1 + [0] * 3 + [2] * 4
    )
    pairs = classes.confused(made)
    assert [(p.label, p.predicted, p.images, p.share, p.same_group) for p in pairs] == [
        ("dog", "cat", 3, 0.75, True),  # of as many images the greater share first
        ("cat", "dog", 3, 0.3, True),
        ("cat", "car", 1, 0.1, False),
    ]
    assert classes.confused(made, 1) == pairs[:1]
    assert classes.confused(report([0, 1], [0, 1])) == []
