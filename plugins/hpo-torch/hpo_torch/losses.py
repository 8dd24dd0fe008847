"""Losses: from what the training part's labels are like to a module that says how wrong logits are.

This module holds the signatures, which study files are checked against; the formulas are computed in
`hpo_torch._losses`, which imports torch. In them z are the logits of an image, p = softmax(z), t its target: a label as
a one-hot vector, or probabilities, as MixUp and CutMix give them. n_c is the number of training images of class c, and
π_c = n_c / Σ n its prior. What is written is an image's term; a loss is the mean over the images.

Class weights w are scaled so that Σ π_c w_c = 1: the mean weight of an image is 1, so learning rates mean the same with
and without them, and a part of a batch weighs as much as it has images. (torch divides by the weights that happen to
be in a batch.)
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Component, Float, Kind, Labels

Smoothing = Annotated[
    float,
    Field(ge=0, lt=1, description="How much of a target is spread evenly over all classes."),
    Float(0.0, 0.2),
]
Power = Annotated[
    float,
    Field(ge=0, le=1, description="Class weights are n^-power: 0 none, 1 as if classes were even."),
    Float(0.0, 1.0),
]
Gamma = Annotated[
    float,
    Field(ge=0, le=10, description="How much less an image counts that is right already."),
    Float(0.5, 4.0),
]
Tau = Annotated[float, Field(ge=0, le=10, description="Strength of the adjustment; 1 is Bayes'.")]


def cross_entropy(
    labels: Labels, *, label_smoothing: Smoothing = 0.0, class_weight_power: Power = 0.0
) -> Any:
    """Cross-entropy: -Σ_c w_c t'_c log p_c, with t' = (1 - s) t + s / C and s = `label_smoothing`.

    Smoothing is that of Szegedy et al. (2016). w_c is n_c^-`class_weight_power`, scaled. Called by an objective once
    per trial.
    """
    from hpo_torch import _losses

    return _losses.CrossEntropy(_weights(labels, class_weight_power), label_smoothing)


def soft_target(labels: Labels) -> Any:
    """Cross-entropy with probabilities as targets: -Σ_c t_c log p_c, for data that is mixed or labelled by a teacher.

    Labels may be among them: it is then `cross-entropy` without options.
    """
    from hpo_torch import _losses

    return _losses.CrossEntropy(None, 0.0)


def focal(labels: Labels, *, gamma: Gamma = 2.0, class_weight_power: Power = 0.0) -> Any:
    """Focal loss of many classes: -Σ_c w_c t_c (1 - p_c)^gamma log p_c (Lin et al. 2017, whose alpha is w).

    gamma = 0 is cross-entropy.
    """
    from hpo_torch import _losses

    return _losses.Focal(_weights(labels, class_weight_power), gamma)


def adaptive_focal(
    labels: Labels,
    *,
    gamma: Gamma = 2.0,
    strength: Annotated[
        float,
        Field(ge=0, le=10, description="How much more a class counts that is found less often."),
        Float(0.0, 2.0),
    ] = 1.0,
    bias_correction: Annotated[
        float,
        Field(ge=0, le=10, description="Strength against classes that are predicted too often."),
        Float(0.0, 2.0),
    ] = 1.0,
    momentum: Annotated[
        float, Field(ge=0, lt=1, description="Decay rate per step of what is known of the classes.")
    ] = 0.98,
) -> Any:
    """Focal loss whose class weights follow the training, and that pulls against predicting one class for all.

    After each step r_c, the mean of p_c over its images of class c, and q, the mean of p over all of its images, enter
    running means with decay μ = `momentum` (from r = 1/2 and q = π: it begins as `focal`). Then::

        -Σ_c w_c t_c (1 - p'_c)^gamma log p'_c
        w_c ∝ (3/2 - r_c)^κ                        κ = `strength`
        p' = softmax(z + τ log(q / π))             τ = `bias_correction`

    A class that is missed weighs more, balanced data or not; one that is predicted more often than there is of it has
    its logits raised while the loss is computed, which pushes the network's own down (as in `logit-adjustment`, with
    the network's bias in place of the prior). In evaluation nothing moves. r and q are kept in checkpoints.
    """
    from hpo_torch import _losses

    return _losses.AdaptiveFocal(_prior(labels), gamma, strength, bias_correction, momentum)


def logit_adjustment(
    labels: Labels,
    *,
    tau: Annotated[Tau, Float(0.0, 2.0)] = 1.0,
    label_smoothing: Smoothing = 0.0,
) -> Any:
    """Cross-entropy of z + τ log π (Menon et al. 2021): what it trains to be right on average over classes, not images.

    z itself is what is validated, as in the paper.
    """
    from hpo_torch import _losses

    return _losses.LogitAdjustment(_prior(labels), tau, label_smoothing)


def ldam(
    labels: Labels,
    *,
    max_margin: Annotated[
        float,
        Field(ge=0, le=10, description="Margin of the rarest class, in units of logits."),
        Float(0.1, 1.0),
    ] = 0.5,
    scale: Annotated[
        float,
        Field(gt=0, le=100, description="Factor of logits; 30 for a network that gives cosines."),
    ] = 1.0,
    reweight_from: Annotated[
        float,
        Field(
            ge=0, le=1, description="Part of the run after which rare classes weigh more; 1: never."
        ),
        Float(0.5, 1.0),
    ] = 0.8,
    beta: Annotated[
        float, Field(ge=0, lt=1, description="Of these weights: the nearer to 1, the larger.")
    ] = 0.9999,
) -> Any:
    """LDAM with deferred re-weighting (Cao et al. 2019): a larger margin for a rarer class, and later a larger weight.

    ::

        -w_y log softmax(s (z - Δ))_y,   Δ_y = m n_y^(-1/4) / max_c n_c^(-1/4), and 0 for other classes
        w_c ∝ (1 - β) / (1 - β^n_c)      from the epoch `reweight_from` E on, before it 1 (Cui et al. 2019)

    with m = `max_margin`, s = `scale`, β = `beta`, and E epochs in the run. The paper's s = 30 belongs to its
    normalized last layer, whose logits are cosines; models here have a plain one, and 1 leaves them as they are. For
    targets that are probabilities Δ is t Δ.
    """
    from hpo_torch import _losses

    counts = labels.count()
    first = round(reweight_from * labels.epochs)
    return _losses.Ldam(counts, max_margin, scale, first, _losses.effective(counts, beta))


def composite(
    labels: Labels,
    *,
    loss: Annotated[
        Component, Kind("losses"), Field(description="The first term: what classifies.")
    ] = Component("focal"),
    weight: Annotated[
        float, Field(ge=0, le=100, description="Weight of the first term."), Float(0.5, 2.0)
    ] = 1.0,
    uncertainty: Annotated[
        float,
        Field(ge=0, le=100, description="Weight of the term against too much confidence."),
        Float(0.0, 0.5),
    ] = 0.1,
    prior: Annotated[
        float,
        Field(ge=0, le=100, description="Weight of the term against collapse to a few classes."),
        Float(0.0, 1.0),
    ] = 0.1,
) -> Any:
    """A sum of three terms: a loss L, one for uncertainty and one for the prior, with weights to search over.

    ::

        `weight` mean(L) + `uncertainty` mean(log C - H(p)) + `prior` KL(p̄ ‖ π),   p̄ = mean(p) over the batch

    The second is the confidence penalty of Pereyra et al. (2017): H is the entropy, and log C its largest value. The
    third is 0 when a batch's predictions are distributed as the training labels are, and log(1 / π_c) when all are of
    one class c. It is one of a whole batch: for a batch in parts it is the mean of theirs, which is a little more.
    """
    from hpo_torch import _losses

    return _losses.Composite(loss.build(labels), _prior(labels), weight, uncertainty, prior)


def _weights(labels: Labels, power: float) -> Any:
    """Scaled class weights, or None where they would all be 1; the labels are counted only if they matter."""
    from hpo_torch import _losses

    return _losses.inverse(labels.count(), power) if power else None


def _prior(labels: Labels) -> Any:
    from hpo_torch import _losses

    return _losses.prior(labels.count())
