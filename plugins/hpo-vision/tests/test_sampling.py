"""What an epoch draws: each image once, or classes more evenly the higher the power, the same in every process."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hpo_vision.datasets.batches import IndexedBatches
from scipy.stats import chisquare

from hpo_core.commands import offered
from hpo_core.testing.training import built

COUNTS = (900, 90, 10)
LABELS = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS))
INDICES = np.arange(len(LABELS))


def batches(power: float, seed: int | None = 7, size: int = 64) -> IndexedBatches:
    """The number of an image is what it shows."""
    return IndexedBatches(
        INDICES, LABELS, lambda found: torch.from_numpy(found).float(), size, seed, power, 3
    )


def order(part: IndexedBatches) -> list[float]:
    return torch.cat([images for images, _ in part]).tolist()


@pytest.mark.parametrize("power", [0.0, 0.3, 0.5, 1.0])
def test_classes_are_drawn_as_the_power_says(power: float) -> None:
    """Over 40 epochs the counts are those of n^(1 - power), by a chi-squared test at one in a thousand."""
    part = batches(power)
    drawn = np.sum([part.draw(epoch) for epoch in range(40)], axis=0)
    shares = np.array(COUNTS, float) ** (1 - power)
    expected = shares / shares.sum() * drawn.sum()
    assert drawn.sum() == 40 * len(LABELS)
    if power == 0:
        assert drawn.tolist() == [40 * count for count in COUNTS]
    else:
        assert chisquare(drawn, expected).pvalue > 1e-3
        other = np.array(COUNTS, float) ** (
            1 - power + 0.1
        )  # the test can tell a power that is a little off
        assert chisquare(drawn, other / other.sum() * drawn.sum()).pvalue < 1e-3


def test_within_a_class_all_images_are_as_likely() -> None:
    part = batches(1.0)
    seen = np.bincount(
        np.concatenate([np.array(order(part), int) for _ in range(40)]), minlength=1000
    )
    assert chisquare(seen[:900]).pvalue > 1e-3 and chisquare(seen[990:]).pvalue > 1e-3


def test_without_power_it_is_a_permutation_as_ever() -> None:
    part = batches(0.0)
    for epoch in range(3):
        expected = np.random.default_rng([7, epoch]).permutation(INDICES)
        assert order(part) == expected.tolist()


@pytest.mark.parametrize("power", [0.0, 0.7])
def test_an_epoch_draws_the_same_wherever_it_is_run(power: float) -> None:
    whole, continued = batches(power), batches(power)
    orders = [order(whole) for _ in range(4)]
    continued.set_epoch(2)
    assert [order(continued), order(continued)] == orders[2:]
    assert len({tuple(each) for each in orders}) == 4


def test_what_is_recorded_is_what_came_out() -> None:
    part = batches(0.5, size=37)  # 27 whole batches and one of a single image, which is left out
    assert part.drawn is None
    for epoch in range(3):
        labels = torch.cat([labels for _, labels in part])
        assert len(labels) == 999
        assert part.drawn == tuple(torch.bincount(labels, minlength=3).tolist()) == part.draw(epoch)
    judged = batches(0.0, seed=None)
    list(judged)
    assert judged.drawn == COUNTS


def test_only_the_training_part_is_drawn() -> None:
    tree = {"name": "digits", "image_size": 8, "sampler_power": 1.0}
    data, plain = built("datasets", tree, 1), built("datasets", {**tree, "sampler_power": 0.0}, 1)
    for part in ("val", "test"):
        for (images, labels), (others, same) in zip(
            data.batches(part), plain.batches(part), strict=True
        ):
            assert torch.equal(images, others) and torch.equal(labels, same)
    assert len({len(data.batches("train")), len(plain.batches("train"))}) == 1
    assert data.batches("train").draw(0) != plain.batches("train").draw(0)
    assert torch.equal(data.batches("train").labels, plain.batches("train").labels)


def test_the_power_may_be_searched() -> None:
    ranges = {name: each.ranges for each in offered("datasets") for name in each.names}
    for name in ("digits", "image-folder", "jsonl", "csv", "torchvision/MNIST"):
        assert ranges[name]["sampler_power"] == {"float": [0.0, 1.0]}
