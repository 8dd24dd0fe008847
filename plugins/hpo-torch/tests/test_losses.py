"""Losses: the contract, and the formulas that their docstrings promise, computed in another way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from hpo_torch import _losses
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, softmax

from hpo_core import Labels
from hpo_core.testing.training import LossContract, built, checked

COUNTS = (80, 15, 5)
PRIOR = torch.tensor(COUNTS) / 100
LOGITS = torch.randn(7, 3, generator=torch.Generator().manual_seed(3)) * 2
TARGETS = torch.tensor([0, 1, 2, 0, 0, 1, 2])


def loss_of(tree: Any, counts: Sequence[int] = COUNTS, epochs: int = 10) -> Any:
    return built("losses", tree, Labels(len(counts), epochs, lambda: counts))


def by_hand(term: Any) -> Tensor:
    """The mean over images of `term(z, y)`."""
    terms = [term(logits, int(label)) for logits, label in zip(LOGITS, TARGETS, strict=True)]
    return torch.stack(terms).mean()


class TestCrossEntropy(LossContract):
    component = "cross-entropy"

    def test_is_torchs(self) -> None:
        assert torch.equal(
            loss_of("cross-entropy")(LOGITS, TARGETS), cross_entropy(LOGITS, TARGETS)
        )
        smooth = loss_of({"name": "cross-entropy", "label_smoothing": 0.1})(LOGITS, TARGETS)
        assert torch.equal(smooth, cross_entropy(LOGITS, TARGETS, label_smoothing=0.1))

    def test_does_not_count_what_it_does_not_need(self) -> None:
        def count() -> Any:
            raise AssertionError

        for name in ("cross-entropy", "soft-target", "focal"):
            built("losses", name, Labels(3, 1, count))


class TestWeightedCrossEntropy(LossContract):
    component: ClassVar = {
        "name": "cross-entropy",
        "class_weight_power": 0.5,
        "label_smoothing": 0.1,
    }

    def test_formula(self) -> None:
        raw = torch.tensor(COUNTS, dtype=torch.float32) ** -0.5
        weights = raw / (PRIOR * raw).sum()

        def term(logits: Tensor, label: int) -> Tensor:
            smooth = torch.full((3,), 0.1 / 3)
            smooth[label] += 0.9
            return -(weights * smooth * logits.log_softmax(0)).sum()

        torch.testing.assert_close(self.build_for(COUNTS)(LOGITS, TARGETS), by_hand(term))


class TestSoftTarget(LossContract):
    component = "soft-target"

    def test_is_that_of_timm(self) -> None:
        from timm.loss import SoftTargetCrossEntropy

        mixed = softmax(LOGITS.flip(0), 1)
        mine = loss_of("soft-target")(LOGITS, mixed)
        torch.testing.assert_close(mine, SoftTargetCrossEntropy()(LOGITS, mixed))


class TestFocal(LossContract):
    component = "focal"

    def test_formula(self) -> None:
        def term(logits: Tensor, label: int) -> Tensor:
            p = logits.softmax(0)[label]
            return -((1 - p) ** 2) * p.log()

        torch.testing.assert_close(loss_of("focal")(LOGITS, TARGETS), by_hand(term))

    def test_without_focus_it_is_cross_entropy(self) -> None:
        flat = loss_of({"name": "focal", "gamma": 0.0})(LOGITS, TARGETS)
        torch.testing.assert_close(flat, cross_entropy(LOGITS, TARGETS))


class TestWeightedFocal(LossContract):
    component: ClassVar = {"name": "focal", "gamma": 0.5, "class_weight_power": 1.0}


def trained(loss: Any, logits: Tensor, steps: int) -> Any:
    """A loss that has seen the same logits in so many steps."""
    loss.train()
    for _ in range(steps):
        loss(logits, TARGETS)
        loss.after_step()
    return loss


class TestAdaptiveFocal(LossContract):
    component = "adaptive-focal"

    def test_begins_as_focal(self) -> None:
        torch.testing.assert_close(
            loss_of("adaptive-focal")(LOGITS, TARGETS), loss_of("focal")(LOGITS, TARGETS)
        )

    def test_follows_recall_and_predictions(self) -> None:
        loss = trained(loss_of({"name": "adaptive-focal", "momentum": 0.5}), LOGITS, 1)
        guesses = softmax(LOGITS, 1)
        recall = torch.stack([guesses[TARGETS == each, each].mean() for each in range(3)])
        torch.testing.assert_close(loss.recall, 0.25 + 0.5 * recall)
        torch.testing.assert_close(loss.predicted, 0.5 * PRIOR + 0.5 * guesses.mean(0))

    def test_formula(self) -> None:
        options = {"gamma": 1.5, "strength": 2.0, "bias_correction": 0.5}
        loss = trained(loss_of({"name": "adaptive-focal", **options}), LOGITS, 30)
        raw = (1.5 - loss.recall) ** 2.0
        weights = raw / (PRIOR * raw).sum()
        shift = 0.5 * (loss.predicted / PRIOR).log()

        def term(logits: Tensor, label: int) -> Tensor:
            p = (logits + shift).softmax(0)[label]
            return -weights[label] * (1 - p) ** 1.5 * p.log()

        torch.testing.assert_close(loss.eval()(LOGITS, TARGETS), by_hand(term))

    def test_parts_move_it_as_the_whole_does(self) -> None:
        whole, parts = loss_of("adaptive-focal").train(), loss_of("adaptive-focal").train()
        whole(LOGITS, TARGETS)
        for part in (slice(0, 3), slice(3, 7)):
            parts(LOGITS[part], TARGETS[part])
        for loss in (whole, parts):
            loss.after_step()
        torch.testing.assert_close(whole.recall, parts.recall)
        torch.testing.assert_close(whole.predicted, parts.predicted)

    def test_balanced_data_is_reweighted_too(self) -> None:
        """A class that is missed weighs more though there is as much of it."""
        blind = torch.tensor([[4.0, 0.0, 0.0]] * 7)
        loss = trained(loss_of("adaptive-focal", (10, 10, 10)), blind, 100)
        weights = (1.5 - loss.recall) ** loss.strength
        assert weights[1] > 2 * weights[0]

    @pytest.mark.parametrize("correction", [0.0, 2.0])
    def test_pulls_against_one_class_for_all(self, correction: float) -> None:
        """The push on the logit of the class that is predicted for everything grows with the correction."""
        collapsed = torch.tensor([[3.0, 0.0, 0.0]] * 7)
        options = {"bias_correction": correction, "strength": 0.0, "gamma": 0.0}
        loss = trained(loss_of({"name": "adaptive-focal", **options}, (3, 2, 2)), collapsed, 200)
        logits = collapsed.clone().requires_grad_()
        loss.eval()(logits, TARGETS).backward()
        assert logits.grad is not None
        push = float(logits.grad.sum(0)[0])
        plain = collapsed.clone().requires_grad_()
        cross_entropy(plain, TARGETS).backward()
        assert plain.grad is not None
        usual = float(plain.grad.sum(0)[0])
        assert push > usual if correction else push == pytest.approx(usual, rel=1e-4)


class TestLogitAdjustment(LossContract):
    component = "logit-adjustment"

    def test_formula(self) -> None:
        adjusted = cross_entropy(LOGITS + 0.5 * PRIOR.log(), TARGETS)
        mine = loss_of({"name": "logit-adjustment", "tau": 0.5})(LOGITS, TARGETS)
        torch.testing.assert_close(mine, adjusted)


class TestLdam(LossContract):
    component: ClassVar = {"name": "ldam", "reweight_from": 0.5}

    @pytest.mark.parametrize(("epoch", "late"), [(0, False), (4, False), (5, True), (9, True)])
    def test_is_the_librarys(self, epoch: int, late: bool) -> None:
        from pytorch_optimizer import LDAMLoss

        beta = 0.9999
        tree = {"name": "ldam", "scale": 30.0, "reweight_from": 0.5, "beta": beta}
        loss = loss_of(tree)
        loss.set_epoch(epoch)
        theirs = [
            LDAMLoss(list(COUNTS), s=30.0)(LOGITS[i : i + 1], TARGETS[i : i + 1]) for i in range(7)
        ]
        raw = torch.tensor([(1 - beta) / (1 - beta**count) for count in COUNTS])
        weights = raw / (PRIOR * raw).sum() if late else torch.ones(3)
        wanted = torch.stack([weights[y] * each for y, each in zip(TARGETS, theirs, strict=True)])
        torch.testing.assert_close(loss(LOGITS, TARGETS), wanted.mean())

    def test_the_rarest_class_has_the_largest_margin(self) -> None:
        margins = loss_of("ldam").margins
        assert margins.tolist() == sorted(margins.tolist()) and margins[-1] == 0.5


class TestComposite(LossContract):
    component: ClassVar = {"name": "composite", "uncertainty": 0.1, "prior": 0.2}
    additive = False

    def test_formula(self) -> None:
        tree = {
            "name": "composite", "loss": {"name": "focal", "gamma": 1.0},
            "weight": 2.0, "uncertainty": 0.3, "prior": 0.7,
        }  # fmt: skip
        logs = log_softmax(LOGITS, 1)
        entropy = -(logs.exp() * logs).sum(1)
        mean = logs.exp().mean(0)
        wanted = (
            2.0 * loss_of({"name": "focal", "gamma": 1.0})(LOGITS, TARGETS)
            + 0.3 * (math.log(3) - entropy).mean()
            + 0.7 * (mean * (mean / PRIOR).log()).sum()
        )
        torch.testing.assert_close(loss_of(tree)(LOGITS, TARGETS), wanted)

    def test_the_prior_term_is_nothing_at_the_prior_and_most_at_collapse(self) -> None:
        only = {"name": "composite", "weight": 0.0, "uncertainty": 0.0, "prior": 1.0}
        loss = loss_of(only)
        assert float(loss(PRIOR.log().repeat(7, 1), TARGETS)) == pytest.approx(0, abs=1e-6)
        for label, share in enumerate(PRIOR.tolist()):
            one = torch.full((7, 3), -50.0)
            one[:, label] = 50.0
            assert float(loss(one, TARGETS)) == pytest.approx(-math.log(share), rel=1e-4)


class TestCompositeOfAdaptive(LossContract):
    component: ClassVar = {"name": "composite", "loss": "adaptive-focal"}
    additive = False


class TestCompositeOfLdam(LossContract):
    component: ClassVar = {"name": "composite", "loss": {"name": "ldam", "reweight_from": 0.5}}
    additive = False

    def test_passes_epochs_on(self) -> None:
        loss = self.build_for(COUNTS)
        loss.set_epoch(9)
        assert loss.loss.weighs


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_weights_have_a_mean_of_one_over_the_images(power: float) -> None:
    for weights in (_losses.inverse(COUNTS, power), _losses.effective(COUNTS, 0.99 * power)):
        assert float((weights * PRIOR).sum()) == pytest.approx(1)


def test_whole_inverse_weights_make_classes_even() -> None:
    weights = _losses.inverse(COUNTS, 1.0)
    torch.testing.assert_close(weights * PRIOR, torch.full((3,), 1 / 3))


@pytest.mark.parametrize(
    "tree",
    [
        {"name": "cross-entropy", "label_smoothing": 1.0},
        {"name": "focal", "gamma": -0.1},
        {"name": "ldam", "beta": 1.0},
        {"name": "composite", "prior": -1.0},
    ],
)
def test_values_out_of_bounds_are_refused(tree: dict[str, object]) -> None:
    with pytest.raises(AssertionError, match="Problem"):
        checked("losses", tree)
